"""Runs started in Kubeflow's UI or by a schedule: they name a version of a pipeline and do not contain a pipeline."""

from pathlib import Path
from typing import Any

import pytest

from components.shared.errors import NotFoundError
from components.shared.outputs.library import Library
from tests.unit.pipelines.command import Tutelage
from tests.unit.pipelines.stand_in import Kubeflow


@pytest.fixture
def started(tutelage: Tutelage, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch) -> Tutelage:
    """A run that was started in the UI, and a user who did not start it."""
    assert tutelage.submit().exit_code == 0
    kubeflow.by_reference = True
    kubeflow.states, kubeflow.tasks = ["RUNNING"], {"collect": "SUCCEEDED", "train": "RUNNING"}
    monkeypatch.setenv("TUTELAGE_KFP_HOST", tutelage.host)
    return Tutelage(tutelage.work.parent / "elsewhere", tutelage.host)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The stores and runs whose reports were asked for."""
    asked: list[tuple[str, str]] = []

    def address(library: Library, run: str) -> str:
        asked.append((library.root, run))
        raise NotFoundError("enough")

    monkeypatch.setattr("pipelines.cli.show_result.address_of_run", address)
    return asked


def test_status_names_its_tasks(started: Tutelage) -> None:
    shown = started("status", "--run", "run-1")
    assert shown.exit_code == 0, shown.exception
    rows = {line.split()[3]: line for line in shown.output.splitlines() if line.startswith("│")}
    assert "done" in rows["collect"] and "running" in rows["train-sft"] and "waiting" in rows["publish"]


def test_its_store_is_the_versions_or_what_the_starter_gave(
    started: Tutelage, kubeflow: Kubeflow, fetched: list[tuple[str, str]]
) -> None:
    assert kubeflow.run is not None
    started("report", "--run", "run-1")
    kubeflow.run["runtime_config"] = {"parameters": {"student": "another"}}
    started("report", "--run", "run-1")
    kubeflow.run["runtime_config"] = {"parameters": {"root": "s3://other/place"}, "pipeline_root": "s3://kubeflow/x"}
    started("report", "--run", "run-1")
    assert fetched == [("s3://bucket/demo", "run-1")] * 2 + [("s3://other/place", "run-1")]


def test_it_can_be_cancelled(started: Tutelage, kubeflow: Kubeflow) -> None:
    done = started("cancel", "--run", "run-1")
    assert done.exit_code == 0, done.exception
    assert kubeflow.terminated and "run run-1 is being cancelled" in done.output


def test_its_jobs_are_looked_for_where_the_pipeline_runs_them(
    started: Tutelage, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kubeflow.run is not None
    tasks = kubeflow.run["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]
    tasks["clean-up"]["inputs"]["parameters"]["namespace"]["runtimeValue"]["constant"] = "jobs"
    asked: list[str] = []
    monkeypatch.setattr("components.launch.api.cluster.Cluster", asked.append)
    monkeypatch.setattr("components.launch.follow.clean_up.delete_unfinished", lambda *given: [])
    shown = started("cancel", "--run", "run-1").output
    assert asked == ["jobs"] and "jobs: jobs (placement.pods.namespace)" in shown


@pytest.mark.parametrize("plain", [True, False])
def test_a_version_with_and_without_settings_for_kubernetes(started: Tutelage, kubeflow: Kubeflow, plain: bool) -> None:
    assert kubeflow.run is not None
    if plain:
        kubeflow.run["pipeline_spec"] = kubeflow.run["pipeline_spec"]["pipeline_spec"]
    assert "train-sft" in started("status", "--run", "run-1").output


def test_a_version_that_was_deleted_is_named(started: Tutelage, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"pipeline_id": "pipeline-1", "pipeline_version_id": "version-0"}
    monkeypatch.setattr("tests.unit.pipelines.stand_in.VERSION", gone)
    said = str(started("status", "--run", "run-1").exception)
    assert "version-0" in said and "pipeline-1" in said and "cannot be read" in said and "404" in said
    assert "check --host" not in said


def test_a_run_of_another_pipeline_is_refused(started: Tutelage, kubeflow: Kubeflow) -> None:
    assert kubeflow.run is not None
    other: dict[str, Any] = {"root": {"dag": {"tasks": {}}}, "components": {}}
    kubeflow.run["pipeline_spec"] = other
    assert "is not a run of Tutelage" in str(started("status", "--run", "run-1").exception)


def test_a_run_that_names_nothing_is_refused(started: Tutelage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.pipelines.stand_in.VERSION", {})
    assert "lacks both a pipeline spec and a pipeline version" in str(started("status", "--run", "run-1").exception)


def test_the_namespace_is_the_experiments(started: Tutelage, kubeflow: Kubeflow, tmp_path: Path) -> None:
    kubeflow.several_users = True
    kubeflow.experiment["namespace"] = "profile"
    shown = started("status", "--run", "run-1")
    assert shown.exit_code == 0, shown.exception
    assert shown.output.startswith("namespace: profile (the run's)\n")
