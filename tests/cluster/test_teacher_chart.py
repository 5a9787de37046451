"""The chart of a teacher on a real cluster, in a namespace that enforces restricted pods: transformers on CPUs."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.models.reference import package_folder
from tests.charts.programs import CHARTS, as_values, built, earlier
from tests.cluster.access import AUTHORITY_CONFIG_MAP, S3_SECRET, Namespace
from tests.cluster.images import image
from tests.cluster.node.programs import HELM
from tests.cluster.storage import Storage

pytestmark = pytest.mark.timeout(1500)

VALUES = CHARTS / "teacher" / "ci" / "minimal-values.yaml"
MADE = "serviceaccount,service,deployment,replicaset,pod,poddisruptionbudget,networkpolicy,persistentvolumeclaim,secret"
"""Kinds that the chart makes, those that come of them, and helm's own record."""


@dataclass(frozen=True)
class Release:
    """The chart in one namespace."""

    namespace: Namespace

    def helm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run helm; what it says on both outputs is in `stdout`."""
        access = [f"--kubeconfig={self.namespace.cluster.kubeconfig}", f"--namespace={self.namespace.name}"]
        command = [built(HELM), *access, *arguments]
        return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)

    def install(self, *arguments: str, chart: Path = CHARTS / "teacher") -> None:
        """Install it with the cluster's images, or upgrade it to this."""
        values = (f"--values={VALUES}", *_images())
        done = self.helm("upgrade", "--install", "teacher", str(chart), *values, *arguments)
        assert done.returncode == 0, f"{done.stdout}\n{self.told()}"

    def told(self) -> str:
        """What the pods say, for a failure."""
        return self.namespace.kubectl("describe", "pods", check=False)

    def left(self) -> list[str]:
        """What carries the release's label, or is helm's."""
        mine = self.namespace.kubectl("get", MADE, "-l", "app.kubernetes.io/instance=teacher", "-o", "name")
        return [*mine.split(), *self.namespace.kubectl("get", "secret", "-l", "owner=helm", "-o", "name").split()]


def _images() -> list[str]:
    parts = {}
    for name in ("train", "launcher"):
        path, _, tag = image(name).rpartition(":")
        registry, _, repository = path.partition("/")
        parts |= {f"images.{name}.registry": registry, f"images.{name}.repository": repository}
        parts[f"images.{name}.tag"] = tag
    return [as_values(**parts)]


@pytest.fixture
def release(images: None, namespace: Namespace) -> Iterator[Release]:
    """A release of this name, which is gone after the test."""
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
    # foreground: what came of the objects goes first.
    gone = release.helm("uninstall", "teacher", "--cascade=foreground", "--wait", "--timeout=3m")
    assert gone.returncode == 0, gone.stdout
    assert release.left() == []


def test_a_model_comes_from_the_store_with_the_sites_authority(release: Release, storage: Storage) -> None:
    _upload(package_folder("package:pipelines/demo/teacher"), storage, release.namespace.bucket)
    release.install("--wait", "--timeout=8m", _from_store(release.namespace, storage, "models/teacher"))
    done = release.helm("test", "teacher", "--timeout=5m")
    assert done.returncode == 0, done.stdout


def test_a_model_that_is_not_there_is_named_in_the_pods_status(release: Release, storage: Storage) -> None:
    release.install(_from_store(release.namespace, storage, "models/nothing"))
    release.namespace.kubectl(
        *("wait", "pod", "-l", "app.kubernetes.io/instance=teacher", "--timeout=4m"),
        "--for=jsonpath={.status.initContainerStatuses[0].lastState.terminated.exitCode}=1",
    )
    pods = json.loads(release.namespace.kubectl("get", "pods", "-o", "json"))["items"]
    (status,) = pods[0]["status"]["initContainerStatuses"]
    told = status["lastState"]["terminated"]["message"]
    assert f"no model at 's3://{release.namespace.bucket}/models/nothing'" in told
    assert "Traceback" not in told


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
