"""The samples run unchanged, but for the names of images, the store and its address."""

import pytest

from tests.cluster.access import Namespace
from tests.cluster.images import VARIABLES, image
from tests.cluster.node.programs import KUBERNETES
from tests.cluster.storage import Storage
from tests.manifests.render import built, run
from tests.manifests.sample_jobs import PODS, ROOT, SAMPLES

ENDS = {
    "trainjob-sft-zero2.yaml": ("trainjob/sample-sft-zero2", "condition=Complete", "train/sft-zero2"),
    "jobset-sft-groups.yaml": ("jobset/jobset-sample-sft-groups", "condition=Completed", "train/sft-groups"),
    "rayjob.yaml": ("rayjob/sample-synthesize", "jsonpath={.status.jobStatus}=SUCCEEDED", "synthesize/sample"),
}
"""By sample: the resource, its condition of success, and where its result is stored."""


@pytest.mark.parametrize("name", ENDS)
def test_a_sample_runs(images: None, namespace: Namespace, storage: Storage, name: str) -> None:
    resource, end, address = ENDS[name]
    _give_keys(namespace, storage)
    filling = run(built(KUBERNETES, "kubectl"), "kustomize", SAMPLES / "fill-store")
    namespace.kubectl("apply", "-f", "-", text=_fitted(filling, namespace, storage))
    namespace.kubectl("wait", "job/sample-fill-store", "--for=condition=Complete", "--timeout=180s")
    sample = (SAMPLES / name).read_text()
    namespace.kubectl("apply", "--server-side", "-f", "-", text=_fitted(sample, namespace, storage))
    namespace.kubectl("wait", resource, f"--for={end}", "--timeout=400s")
    listed = storage.client.list_objects_v2(Bucket=namespace.bucket, Prefix=f"samples/{address}/result.json")
    assert listed["KeyCount"] == 1


def _give_keys(namespace: Namespace, storage: Storage) -> None:
    """The Secret and the ConfigMap that the samples name."""
    keys = {"access-key": storage.key, "secret-key": storage.secret}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tutelage-s3"}, "stringData": keys}
    bundle = {"metadata": {"name": "tutelage-ca"}, "data": {"ca.crt": storage.authority.read_text()}}
    namespace.cluster.apply(secret, {"apiVersion": "v1", "kind": "ConfigMap", **bundle}, namespace=namespace.name)


def _fitted(text: str, namespace: Namespace, storage: Storage) -> str:
    """A manifest for this namespace; pods request less, since all share two cores."""
    changed = {
        ROOT: f"{namespace.store}/samples",
        PODS["environment"]["AWS_ENDPOINT_URL"]: storage.endpoint,
        **{f"tutelage/{name}:0.1.0": image(name) for name in VARIABLES},
        "cpu: 500m": "cpu: 200m",
    }
    for old, new in changed.items():
        text = text.replace(old, new)
    return text
