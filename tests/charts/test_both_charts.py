"""What holds for every chart: lint, its own unit tests, and its README. Schemas of its objects: `tests/manifests`."""

import re
import shutil
from pathlib import Path

import pytest

from tests.charts.programs import CHARTS, ci_values, run
from tests.cluster.node.programs import HELM, HELM_DOCS, HELM_UNITTEST, KUBERNETES

NAMES = ("teacher", "tutelage")
WITH_VALUES = [
    pytest.param(name, path, id=f"{name}-{path.name.removesuffix('-values.yaml')}")
    for name in NAMES
    for path in ci_values(name)
]
VALUE = re.compile(r"\| [a-z][\w.]* \| \S+ \| ")
"""A row of the table of values."""


@pytest.mark.parametrize(("name", "values"), [*WITH_VALUES, pytest.param("tutelage", None, id="tutelage-defaults")])
def test_lint_finds_nothing(name: str, values: Path | None) -> None:
    chosen = [f"--values={values}"] if values else []
    done = run(HELM, "lint", "--strict", f"--kube-version={KUBERNETES.version}", name, *chosen)
    assert done.returncode == 0 and "WARNING" not in done.stdout, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_its_unit_tests_pass(name: str) -> None:
    done = run(HELM_UNITTEST, "--strict", name)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_is_what_helm_docs_writes(name: str, tmp_path: Path) -> None:
    copied = shutil.copytree(CHARTS / name, tmp_path / name)
    (copied / "README.md").unlink(missing_ok=True)
    done = run(HELM_DOCS, "--chart-search-root", str(tmp_path), "--sort-values-order", "file", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    remedy = "helm-docs --chart-search-root charts --sort-values-order file"
    assert (copied / "README.md").read_text() == (CHARTS / name / "README.md").read_text(), f"run {remedy}"


@pytest.mark.parametrize("name", NAMES)
def test_every_value_is_described(name: str) -> None:
    rows = [line for line in (CHARTS / name / "README.md").read_text().splitlines() if VALUE.match(line)]
    assert len(rows) > 50
    assert not [row for row in rows if row.endswith("|  |")]
