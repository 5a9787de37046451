"""`tutelage doctor --cluster` checks a real cluster, and names what is missing with its remedy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cluster.access import S3_SECRET, STEP_ACCOUNT, Namespace
from tests.cluster.demo import RECIPE, ROOT, placement_for
from tests.cluster.storage import Storage

MARK = ("ok ", "!! ")


@pytest.fixture
def doctor(images: None, namespace: Namespace, storage: Storage, tmp_path: Path) -> "Doctor":
    """The command, run with an administrator's kubeconfig whose context is the test's namespace."""
    config = yaml.safe_load(namespace.cluster.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = namespace.name
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    return Doctor(namespace, placement_for(storage, tmp_path), tmp_path / "kubeconfig")


class Doctor:
    """Runs the command."""

    def __init__(self, namespace: Namespace, placement: Path, kubeconfig: Path) -> None:
        self.namespace, self.placement, self.kubeconfig = namespace, placement, kubeconfig

    def findings(self) -> tuple[int, str, dict[str, bool]]:
        """Exit code, text, and for each finding by name whether it is good."""
        where = ["--placement", str(self.placement), "--store", f"{self.namespace.store}/demo"]
        command = [sys.executable, "-m", "pipelines.cli.main", "doctor", "--cluster", str(RECIPE), *where]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
        lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
        found = {line[3:].partition(": ")[0]: line.startswith("ok") for line in lines}
        return done.returncode, done.stdout + done.stderr, found


def test_a_complete_cluster(doctor: Doctor) -> None:
    code, text, found = doctor.findings()
    assert code == 0, text
    assert all(found.values()), text
    assert "RayJob" in text and "TrainJob" in text and "runtimePatches" in text and "conditional put" in text
    left = doctor.namespace.cluster.get("pods", namespace=doctor.namespace.name)["items"]
    assert not left, "the pods of its checks are gone"


def test_what_is_missing_is_named(doctor: Doctor) -> None:
    doctor.namespace.kubectl("delete", "secret", S3_SECRET)
    doctor.namespace.kubectl("delete", "trainingruntime", "tutelage")
    doctor.namespace.kubectl("delete", "role", "tutelage-steps")
    code, text, found = doctor.findings()
    assert code == 1
    bad = " ".join(name for name, good in found.items() if not good)
    assert S3_SECRET in bad and "tutelage" in bad, text
    assert "right to trainjobs.trainer.kubeflow.org" in bad, "the administrator has the right, the steps do not"
    assert f"service account {doctor.namespace.name}/{STEP_ACCOUNT} may not create" in text
    assert "trainingruntime.yaml" in text
