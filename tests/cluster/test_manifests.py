"""A real API server with the operators' webhooks accepts what `k8s/` and the charts ship, in dry runs."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.access import RESTRICTED, Cluster
from tests.cluster.node.programs import HELM, KUBERNETES
from tests.manifests.crd_schemas import CRDS, read_crds
from tests.manifests.render import Object, built, documents, kustomized, templated
from tests.manifests.shipped import K8S, KUSTOMIZATIONS, SINGLE, VALUES, name_of
from tests.manifests.versions import NEWER_KUEUE

QUEUE = K8S / "samples" / "kueue"
QUEUE_KINDS = ("ResourceFlavor", "ClusterQueue", "LocalQueue", "WorkloadPriorityClass")
OPTIONAL = {"monitoring.coreos.com", "external-secrets.io", "kueue.x-k8s.io"}
"""Groups of a chart's optional objects that no test cluster serves."""

AWAY = r"refused|Unable to connect|unexpected EOF|TLS handshake|failed calling webhook|etcdserver|timed out"
AWAY_SECONDS = 180.0
"""Other tests stop the API server and the operators for a while."""


class Space:
    """A namespace of this module."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.name = cluster, f"test-{uuid.uuid4().hex[:8]}"

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl in the namespace; waits for a cluster that is down. Its output is the failure's message."""
        deadline = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return self.cluster.kubectl(f"--namespace={self.name}", *arguments, text=text)
            except AssertionError as error:
                if time.monotonic() > deadline or not re.search(AWAY, str(error)):
                    raise
                time.sleep(3)

    def accepts(self, *objects: Object) -> None:
        """Assert that the API server and the webhooks would accept the objects, without unknown fields."""
        assert objects, "there are no objects"
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        checks = ("--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server")
        self.kubectl("apply", *checks, "-f", "-", text=listed)

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether the cluster serves a kind; it serves all of Kubernetes' own groups."""
        group = api_version.rpartition("/")[0]
        if "." not in group or (group.endswith(".k8s.io") and "x-k8s" not in group):
            return True
        return kind in self.kubectl("api-resources", f"--api-group={group}", "--no-headers")


@contextmanager
def made(cluster: Cluster) -> Iterator[Space]:
    """A namespace with restricted pods."""
    own = Space(cluster)
    metadata = {"name": own.name, "labels": RESTRICTED}
    own.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
    try:
        yield own
    finally:
        own.kubectl("delete", "namespace", own.name, "--wait=false")


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[Space]:
    """A namespace with `k8s/base` applied: webhooks look for the runtime that a TrainJob names."""
    with made(cluster) as own:
        own.kubectl("apply", "--server-side", "-k", str(K8S / "base"))
        own.kubectl("apply", "--server-side", "-f", str(K8S / "samples" / "trainingruntime-gpu.yaml"))
        yield own


@pytest.fixture
def bare(cluster: Cluster) -> Iterator[Space]:
    """An empty namespace."""
    with made(cluster) as own:
        yield own


@pytest.mark.parametrize("folder", [each for each in KUSTOMIZATIONS if each != QUEUE], ids=name_of)
def test_a_folder(space: Space, folder: Path) -> None:
    space.accepts(*kustomized(folder))


@pytest.mark.parametrize("path", SINGLE, ids=name_of)
def test_a_file(space: Space, path: Path) -> None:
    objects = documents(path.read_text())
    for each in objects:
        if not space.serves(each["apiVersion"], each["kind"]):
            pytest.skip(f"needs {each['kind']} of {each['apiVersion']}, which this cluster does not serve")
        if each["kind"] == "TrainJob" and not _fields_of_trainjobs(space) >= each["spec"].keys():
            pytest.skip(f"needs another Kubeflow Trainer, whose TrainJob has {', '.join(each['spec'])}")
    space.accepts(*objects)


def test_the_cluster_serves_one_shape_of_trainjob(space: Space) -> None:
    shapes = [yaml.safe_load(path.read_text()) for path in (K8S / "samples").glob("trainjob-*.yaml")]
    assert any(_fields_of_trainjobs(space) >= each["spec"].keys() for each in shapes)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_a_chart(space: Space, values: Path) -> None:
    objects = templated(values.parents[1], "--values", values, namespace=space.name)
    left_out = [each for each in objects if not space.serves(each["apiVersion"], each["kind"])]
    assert {each["apiVersion"].partition("/")[0] for each in left_out} <= OPTIONAL
    # A pod is refused when its account does not exist.
    accounts = [each for each in objects if each["kind"] == "ServiceAccount"]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": accounts})
    space.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=listed)
    space.accepts(*(each for each in objects if each not in left_out))


@pytest.mark.alone
def test_the_queue(space: Space) -> None:
    """Kueue's own definitions are applied for this test, unless the cluster has Kueue."""
    versions = [line for line in space.kubectl("api-versions").split() if line.startswith("kueue.x-k8s.io/")]
    if versions and "kueue.x-k8s.io/v1beta2" not in versions:
        pytest.skip(f"needs Kueue 0.15 or later: this cluster's serves {', '.join(versions)}")
    crds = [each for each in read_crds(NEWER_KUEUE, CRDS[NEWER_KUEUE]) if each["spec"]["names"]["kind"] in QUEUE_KINDS]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": crds})
    try:
        if not versions:
            space.kubectl("apply", "--server-side", "-f", "-", text=text)
            space.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", "-", text=text)
        space.accepts(*kustomized(QUEUE))
    finally:
        if not versions:
            space.kubectl("delete", "--ignore-not-found", "-f", "-", text=text)


@pytest.mark.alone
class TestInstall:
    """`k8s/kind/install.sh` works on any cluster; no image is pulled, so the S3 server's pod is not waited for.

    Its service has a port of the node's own, of which a cluster has one.
    """

    @pytest.fixture
    def install(self, bare: Space, cluster: Cluster, tmp_path: Path) -> Callable[..., str]:
        """Runs it for the namespace, as the team's and as the S3 server's."""
        kubectl = built(KUBERNETES, "kubectl")
        programs = tmp_path / "programs"
        programs.mkdir()
        waits = 'case "$1" in rollout | exec) exit 0 ;; esac'
        (programs / "kubectl").write_text(f'#!/bin/sh\n{waits}\nexec {kubectl} "$@"\n')
        (programs / "kubectl").chmod(0o755)
        (programs / "helm").symlink_to(built(HELM))
        environment = {
            **{"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)},
            **{"KUBECONFIG": str(cluster.kubeconfig), "NAMESPACE": bare.name, "STORAGE_NAMESPACE": bare.name},
        }
        if shutil.which("git") is None or shutil.which("openssl") is None:
            pytest.skip("needs git and openssl, as the script does")

        def run(*parts: str) -> str:
            command = ["bash", str(K8S / "kind" / "install.sh"), *parts]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        return run

    def test_a_dry_run_is_checked_by_the_server_and_leaves_nothing(
        self, bare: Space, install: Callable[..., str]
    ) -> None:
        said = install("--dry-run", "storage", "namespace", "chart")
        assert "deployment.apps/s3 serverside-applied (server dry run)" in said
        assert "secret/s3-keys created (server dry run)" in said
        assert "No resources" in self._left(bare)

    def test_the_store_and_a_teams_access_to_it(self, bare: Space, install: Callable[..., str]) -> None:
        install("storage", "namespace")
        first = self._secrets(bare)
        install("storage", "namespace")
        assert self._secrets(bare) == first, "keys are made once"
        keys, team = first["s3-keys"], first["tutelage-s3"]
        assert team == {"access-key": keys["access-key"], "secret-key": keys["secret-key"]}
        assert len(base64.b64decode(team["secret-key"])) == 40
        authority = json.loads(bare.kubectl("get", "configmap", "tutelage-ca", "-o", "json"))["data"]["ca.crt"]
        assert authority.encode() == base64.b64decode(first["s3-tls"]["ca.crt"])

    def _secrets(self, bare: Space) -> dict[str, Any]:
        items = json.loads(bare.kubectl("get", "secrets", "-o", "json"))["items"]
        return {each["metadata"]["name"]: each["data"] for each in items}

    def _left(self, bare: Space) -> str:
        return bare.cluster.kubectl(
            "get", "deployments,secrets,services,pvc,cronjobs", f"--namespace={bare.name}", check=False
        )


def _fields_of_trainjobs(bare: Space) -> set[str]:
    crd = json.loads(bare.kubectl("get", "crd", "trainjobs.trainer.kubeflow.org", "-o", "json"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return set(schema["properties"]["spec"]["properties"])
