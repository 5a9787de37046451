"""The programs that tests of manifests run, none of which talks to a cluster."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.node.errors import NodeError
from tests.cluster.node.programs import HELM, KUBECONFORM, KUBERNETES, Program
from tests.manifests.crd_schemas import schema_location

ROOT = Path(__file__).parents[2]
Object = dict[str, Any]
Build = Callable[[Path], list[Object]]
Render = Callable[..., list[Object]]


def run(*command: str | Path, text: str | None = None) -> str:
    """Run a program to its end; its words are the failure's."""
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command[:4]))}:\n{done.stdout}{done.stderr}"
    return done.stdout


def documents(text: str) -> list[Object]:
    """The objects of a YAML file."""
    return [each for each in yaml.safe_load_all(text) if each]


def built(program: Program, name: str = "") -> Path:
    """One of the test cluster's programs; without it the test is skipped."""
    file = program.file(name)
    if not file.exists():
        pytest.skip(f"needs {file.name} {program.version}: make cluster-up builds it")
    return file


@pytest.fixture(scope="session")
def kustomize() -> Build:
    """Builds a folder with kustomize."""
    kubectl = built(KUBERNETES, "kubectl")
    return lambda folder: documents(run(kubectl, "kustomize", folder))


@pytest.fixture(scope="session")
def helm_template() -> Render:
    """Renders a chart as a cluster with the operators would get it; more arguments are helm's."""
    helm = built(HELM)
    served = ["ray.io/v1/RayJob", "trainer.kubeflow.org/v1alpha1/TrainJob", "kubeflow.org/v1/PyTorchJob"]
    versions = [f"--api-versions={each}" for name in served for each in (name, name.rpartition("/")[0])]
    kubernetes = f"--kube-version={KUBERNETES.version}"

    def render(chart: Path, *arguments: str | Path) -> list[Object]:
        return documents(run(helm, "template", "tutelage", chart, "-n", "team", kubernetes, *versions, *arguments))

    return render


@pytest.fixture(scope="session")
def conforms() -> Callable[[list[Object]], None]:
    """Asserts that objects are what Kubernetes' and the operators' own schemas describe."""
    kubeconform = built(KUBECONFORM)
    try:
        location = schema_location()
    except NodeError as error:
        pytest.skip(f"needs the operators' Go modules: {error}")

    def check(objects: list[Object]) -> None:
        assert objects, "there is nothing to look at"
        run(kubeconform, "-strict", "-summary", "-schema-location", location, "-", text=yaml.safe_dump_all(objects))

    return check
