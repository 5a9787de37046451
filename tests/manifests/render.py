"""Turns folders and charts into objects, with the programs of the test cluster. Nothing here talks to a cluster."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.node.programs import HELM, KUBERNETES, Program

Object = dict[str, Any]
SERVED = (
    *("ray.io/v1/RayJob", "trainer.kubeflow.org/v1alpha1/TrainJob", "kubeflow.org/v1/PyTorchJob"),
    "jobset.x-k8s.io/v1alpha2/JobSet",
)
"""What a cluster with the operators serves, for charts that ask."""


def built(program: Program, name: str = "") -> Path:
    """One of the test cluster's programs; without it the test is skipped."""
    file = program.file(name)
    if not file.exists():
        pytest.skip(f"needs {file.name} {program.version}: make cluster-up builds it")
    return file


def run(*command: str | Path, text: str | None = None) -> str:
    """Run a program to its end; its output is the failure's message."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(map(str, command[:4]))}:\n{done.stdout}{done.stderr}"
    return done.stdout


def documents(text: str) -> list[Object]:
    """The objects of a YAML file."""
    return [each for each in yaml.safe_load_all(text) if each]


def kustomized(folder: Path) -> list[Object]:
    """A folder's objects as kustomize builds them."""
    return documents(run(built(KUBERNETES, "kubectl"), "kustomize", folder))


def templated(chart: Path, *arguments: str | Path, namespace: str = "team") -> list[Object]:
    """A chart's objects for a cluster with the operators; more arguments are helm's."""
    versions = [f"--api-versions={each}" for name in SERVED for each in (name, name.rpartition("/")[0])]
    place = ("tutelage", chart, "--namespace", namespace, f"--kube-version={KUBERNETES.version}")
    return documents(run(built(HELM), "template", *place, *versions, *arguments))
