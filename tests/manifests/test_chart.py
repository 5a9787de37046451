"""The chart gives a namespace the same rights and the same runtime as `k8s/base`, which is the source of both."""

from pathlib import Path
from typing import Any

import pytest

from tests.manifests.render import Object, kustomized, templated
from tests.manifests.shipped import CHARTS, K8S

CHART = CHARTS / "tutelage"


def only(objects: list[Object], kind: str) -> Object:
    """The one object of a kind."""
    found = [each for each in objects if each["kind"] == kind]
    assert len(found) == 1, f"{len(found)} of kind {kind}: {[each['metadata']['name'] for each in found]}"
    return found[0]


def rules(role: Object) -> set[tuple[str, str, str]]:
    """What a Role allows: group, resource, verb."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def accounts(binding: Object) -> set[tuple[str, str]]:
    """The subjects of a RoleBinding; kustomize leaves the namespace to whoever applies it."""
    return {(each["kind"], each["name"]) for each in binding["subjects"]}


def differences(base: Any, chart: Any, place: str = "spec") -> list[str]:
    """Where two values differ, by path."""
    if isinstance(base, dict) and isinstance(chart, dict):
        names = sorted({*base, *chart})
        return [line for name in names for line in differences(base.get(name), chart.get(name), f"{place}.{name}")]
    if isinstance(base, list) and isinstance(chart, list) and len(base) == len(chart):
        pairs = enumerate(zip(base, chart, strict=True))
        return [line for number, pair in pairs for line in differences(*pair, f"{place}[{number}]")]
    return [] if base == chart else [f"{place}: k8s/base has {base!r}, the chart {chart!r}"]


@pytest.fixture
def base() -> list[Object]:
    """What `k8s/base` gives a namespace."""
    return kustomized(K8S / "base")


@pytest.fixture
def chart() -> list[Object]:
    """What the chart gives one, with no values of the site's."""
    return templated(CHART)


def test_the_same_rights(base: list[Object], chart: list[Object]) -> None:
    shipped, charted = rules(only(base, "Role")), rules(only(chart, "Role"))
    assert not (shipped ^ charted), f"only k8s/base: {shipped - charted}; only the chart: {charted - shipped}"


def test_for_the_same_accounts(base: list[Object], chart: list[Object]) -> None:
    shipped, charted = accounts(only(base, "RoleBinding")), accounts(only(chart, "RoleBinding"))
    assert not (shipped ^ charted), f"only k8s/base: {shipped - charted}; only the chart: {charted - shipped}"


def test_the_same_runtime(base: list[Object], chart: list[Object]) -> None:
    shipped, charted = only(base, "TrainingRuntime"), only(chart, "TrainingRuntime")
    assert charted["metadata"]["name"] == shipped["metadata"]["name"], "TrainJobs name it"
    assert not (found := differences(shipped["spec"], charted["spec"])), "\n".join(found)


@pytest.mark.parametrize("path", [K8S / "kind" / "values.yaml"], ids=["kind"])
def test_values_that_ship_are_the_charts(path: Path) -> None:
    objects = templated(CHART, "--values", path)
    assert only(objects, "TrainingRuntime")
