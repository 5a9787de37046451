"""The chart of a teacher on a real cluster, where pods are restricted: transformers and vLLM on CPUs."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.vllm_cpu.environment import VllmUnavailableError, environment
from components.models.reference import package_folder
from tests.charts.programs import CHARTS, as_values, built, earlier
from tests.cluster.access import AUTHORITY_CONFIG_MAP, S3_SECRET, Cluster, Namespace
from tests.cluster.images import VLLM_VARIABLE, build_and_load_vllm, image
from tests.cluster.node.programs import HELM
from tests.cluster.storage import Storage

pytestmark = pytest.mark.timeout(1500)

VALUES = CHARTS / "teacher" / "ci" / "minimal-values.yaml"
VLLM_VALUES = CHARTS / "teacher" / "ci" / "vllm-cpu-values.yaml"
KEY_SECRET = "tutelage-teacher"
"""The Secret that VLLM_VALUES name."""
SERVER = "app.kubernetes.io/instance=teacher,app.kubernetes.io/component=server"
MADE = "serviceaccount,service,deployment,replicaset,pod,poddisruptionbudget,networkpolicy,persistentvolumeclaim,secret"
"""Kinds that the chart creates, kinds that controllers create of them, and helm's own record."""


@dataclass(frozen=True)
class Release:
    """The chart in one namespace."""

    namespace: Namespace

    def helm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run helm; both outputs are in `stdout`."""
        access = [f"--kubeconfig={self.namespace.cluster.kubeconfig}", f"--namespace={self.namespace.name}"]
        command = [built(HELM), *access, *arguments]
        return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)

    def install(self, *arguments: str, chart: Path = CHARTS / "teacher", values_file: Path = VALUES) -> None:
        """Install it with the cluster's images, or upgrade it to this."""
        values = (f"--values={values_file}", *_images())
        done = self.helm("upgrade", "--install", "teacher", str(chart), *values, *arguments)
        assert done.returncode == 0, f"{done.stdout}\n{self.state()}"

    def state(self) -> str:
        """The state of the pods and what the server printed, before its restart too, for a failure's message."""
        logs = ("logs", f"--selector={SERVER}", "--container=server", "--tail=-1")
        asked = (("describe", "pods"), (*logs, "--previous"), logs)
        return "\n".join(self.namespace.kubectl(*words, check=False) for words in asked)

    def set_key(self, key: str) -> None:
        """Create or change the Secret with the key; a pod that runs already keeps the one that it started with."""
        content = {"metadata": {"name": KEY_SECRET}, "stringData": {"api-key": key}}
        secret = {"apiVersion": "v1", "kind": "Secret", **content}
        self.namespace.cluster.apply(secret, namespace=self.namespace.name)

    def left(self) -> list[str]:
        """Objects with the release's label, and helm's own."""
        mine = self.namespace.kubectl("get", MADE, "-l", "app.kubernetes.io/instance=teacher", "-o", "name")
        return [*mine.split(), *self.namespace.kubectl("get", "secret", "-l", "owner=helm", "-o", "name").split()]


def _images() -> list[str]:
    references = {name: image(name) for name in ("train", "launcher")}
    if reference := os.environ.get(VLLM_VARIABLE):
        references["vllm"] = reference
    parts = {}
    for name, reference in references.items():
        path, _, tag = reference.rpartition(":")
        registry, _, repository = path.partition("/")
        parts |= {f"images.{name}.registry": registry, f"images.{name}.repository": repository}
        parts |= {f"images.{name}.tag": tag, f"images.{name}.digest": ""}
    return [as_values(**parts)]


@pytest.fixture
def release(images: None, namespace: Namespace) -> Iterator[Release]:
    """A release of this name, which is deleted after the test."""
    built(HELM)
    made = Release(namespace)
    yield made
    made.helm("uninstall", "teacher", "--ignore-not-found", "--wait", "--timeout=3m")


def test_it_answers_after_an_upgrade_and_leaves_nothing(release: Release, tmp_path: Path) -> None:
    release.install(chart=earlier("teacher", tmp_path))
    release.install("--wait", "--timeout=8m")
    done = release.helm("test", "teacher", "--timeout=5m")
    assert done.returncode == 0, done.stdout
    assert "demo-teacher answers: " in done.stdout
    # foreground: objects are deleted after their dependents.
    gone = release.helm("uninstall", "teacher", "--cascade=foreground", "--wait", "--timeout=3m")
    assert gone.returncode == 0, gone.stdout
    assert release.left() == []


def test_a_model_comes_from_the_store_with_the_sites_authority(release: Release, storage: Storage) -> None:
    _upload(package_folder("package:demo/teacher"), storage, release.namespace.bucket)
    release.install("--wait", "--timeout=8m", _from_store(release.namespace, storage, "models/teacher"))
    done = release.helm("test", "teacher", "--timeout=5m")
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="session")
def vllm_image(cluster: Cluster, images: None) -> None:
    """vLLM's build for CPUs, available to the cluster."""
    if not cluster.own:
        if not os.environ.get(VLLM_VARIABLE):
            pytest.skip(f"needs an image of vLLM for CPUs that the cluster can pull: {VLLM_VARIABLE} names it")
        return
    try:
        environment()
    except VllmUnavailableError as error:
        pytest.skip(str(error))
    build_and_load_vllm()


@pytest.mark.long
def test_vllm_answers_those_who_have_the_key(vllm_image: None, release: Release) -> None:
    key, wrong = secrets.token_hex(16), secrets.token_hex(16)
    release.set_key(key)
    # Ready by the chart's own probes. Two minutes; six and a half were seen beside five other tests, nothing cached.
    release.install("--wait", "--timeout=9m", values_file=VLLM_VALUES)
    done = release.helm("test", "teacher", "--timeout=3m")
    assert done.returncode == 0, f"{done.stdout}\n{release.state()}"
    assert "demo-teacher answers: " in done.stdout
    release.set_key(wrong)
    refused = release.helm("test", "teacher", "--timeout=3m")
    assert refused.returncode == 1
    assert "401" in refused.stdout
    (pod,) = json.loads(release.namespace.kubectl("get", "pods", f"--selector={SERVER}", "-o", "json"))["items"]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    shown = json.dumps(pod) + done.stdout + refused.stdout + release.state()
    assert [secret for secret in (key, wrong) if secret in shown] == []


def test_a_missing_model_is_named_in_the_pods_status(release: Release, storage: Storage) -> None:
    release.install(_from_store(release.namespace, storage, "models/nothing"))
    release.namespace.kubectl(
        *("wait", "pod", "-l", "app.kubernetes.io/instance=teacher", "--timeout=4m"),
        "--for=jsonpath={.status.initContainerStatuses[0].lastState.terminated.exitCode}=1",
    )
    pods = json.loads(release.namespace.kubectl("get", "pods", "-o", "json"))["items"]
    (status,) = pods[0]["status"]["initContainerStatuses"]
    message = status["lastState"]["terminated"]["message"]
    assert f"no model at 's3://{release.namespace.bucket}/models/nothing'" in message
    assert "Traceback" not in message


def _from_store(namespace: Namespace, storage: Storage, folder: str) -> str:
    return as_values(
        **{
            "model.reference": f"{namespace.store}/{folder}",
            "store.endpoint": storage.endpoint,
            "store.secret": {"name": S3_SECRET, "accessKey": "AWS_ACCESS_KEY_ID", "secretKey": "AWS_SECRET_ACCESS_KEY"},
            "certificateAuthority.configMap": AUTHORITY_CONFIG_MAP,
            "networkPolicy.egress": None,
        }
    )


def _upload(folder: Path, storage: Storage, bucket: str) -> None:
    for path in sorted(folder.iterdir()):
        storage.client.upload_file(str(path), bucket, f"models/teacher/{path.name}")
