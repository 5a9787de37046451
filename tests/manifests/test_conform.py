"""Everything that is applied conforms to Kubernetes' and the operators' own schemas, without unknown fields."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.manifests.render import Object, documents, kustomized, templated
from tests.manifests.shipped import K8S, KUSTOMIZATIONS, SINGLE, VALUES, name_of

Conforms = Callable[[list[Object]], None]
OLDER = "trainjob-trainer-2.1.yaml"
"""Its schema is that of another Trainer; a unit test of the launcher validates it with that one."""


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=name_of)
def test_a_folder(folder: Path, conforms: Conforms) -> None:
    conforms(kustomized(folder))


@pytest.mark.parametrize("path", [path for path in SINGLE if path.name != OLDER], ids=name_of)
def test_a_file(path: Path, conforms: Conforms) -> None:
    conforms(documents(path.read_text()))


@pytest.mark.parametrize("values", VALUES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_a_chart(values: Path, conforms: Conforms) -> None:
    conforms(templated(values.parents[1], "--values", values))


def test_an_unknown_field_is_refused(conforms: Conforms) -> None:
    [runtime] = documents((K8S / "base" / "trainingruntime.yaml").read_text())
    runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["backofLimit"] = 0
    with pytest.raises(AssertionError, match="backofLimit"):
        conforms([runtime])


@pytest.mark.parametrize("kind", ["Role", "LocalQueue"])
def test_a_kind_without_its_fields_is_refused(conforms: Conforms, kind: str) -> None:
    versions = {"Role": "rbac.authorization.k8s.io/v1", "LocalQueue": "kueue.x-k8s.io/v1beta2"}
    with pytest.raises(AssertionError, match="is invalid"):
        conforms([{"apiVersion": versions[kind], "kind": kind, "metadata": {"name": "x"}, "specs": {}}])
