"""Why a run on Kubeflow failed: what steps recorded in the store, what pods report; a cancel is not a failure."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.shared.errors import TutelageError
from components.shared.process.step_failure import keep_failure
from tests.unit.pipelines.command import Tutelage, write_kubeconfig
from tests.unit.pipelines.stand_in import Answer, Kubeflow, Request, served

NO_ANSWER = TutelageError("no teacher answers", rule="one has to", remedy="start it")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def run(tutelage: Tutelage, kubeflow: Kubeflow, store: Path, monkeypatch: pytest.MonkeyPatch) -> Tutelage:
    """A run, asked for by its id, whose store can be reached."""
    assert tutelage.submit("--namespace", "team").exit_code == 0
    assert kubeflow.run is not None
    kubeflow.run["runtime_config"] = {"parameters": {"root": str(store)}}
    monkeypatch.setenv("TUTELAGE_KFP_HOST", tutelage.host)
    return Tutelage(tutelage.work.parent / "elsewhere", tutelage.host)


@pytest.fixture
def keep(store: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A step of the run fails."""

    def fails(task: str, error: TutelageError = NO_ANSWER, *, attempt: int = 1) -> None:
        monkeypatch.setenv("TUTELAGE_RUN", "run-1")
        monkeypatch.setenv("KFP_RETRY_INDEX", str(attempt - 1))
        keep_failure(str(store), task, error, 1)

    return fails


def test_status_gives_the_steps_own_message(run: Tutelage, kubeflow: Kubeflow, keep: Callable[..., None]) -> None:
    kubeflow.states, kubeflow.tasks = ["FAILED"], {"collect": "SUCCEEDED", "synthesize": "FAILED"}
    keep("synthesize", attempt=3)
    shown = run("status", "--run", "run-1")
    assert shown.exit_code == 1
    assert f"synthesize: {NO_ANSWER}\n  attempt: 3\n" in shown.output
    row = next(line for line in shown.output.splitlines() if line.startswith("│") and "synthesize" in line)
    assert "no teacher answers" in row


def test_each_failed_task_has_its_own(run: Tutelage, kubeflow: Kubeflow, keep: Callable[..., None]) -> None:
    kubeflow.states, kubeflow.tasks = ["FAILED"], {"train": "FAILED", "train-2": "FAILED"}
    keep("train-sft", TutelageError("of sft"))
    keep("train-kto", TutelageError("of kto"))
    shown = run("status", "--run", "run-1").output
    assert "train-sft: of sft" in shown and "train-kto: of kto" in shown


def test_an_earlier_attempts_failure_is_not_reported_of_a_task_that_still_runs(
    run: Tutelage, kubeflow: Kubeflow, keep: Callable[..., None]
) -> None:
    kubeflow.states, kubeflow.tasks = ["RUNNING"], {"collect": "RUNNING"}
    keep("collect")
    shown = run("status", "--run", "run-1")
    assert shown.exit_code == 0 and "no teacher answers" not in shown.output


def test_watching_reports_it_at_once_and_at_the_end(
    run: Tutelage, kubeflow: Kubeflow, keep: Callable[..., None]
) -> None:
    kubeflow.states, kubeflow.tasks = ["RUNNING", "RUNNING", "FAILED"], {"synthesize": "FAILED", "collect": "RUNNING"}
    keep("synthesize")
    done = run("status", "--run", "run-1", "--watch")
    assert "synthesize: failed: no teacher answers" in done.output
    said = str(done.exception)
    assert f"synthesize: {NO_ANSWER}" in said and "/#/runs/details/run-1" in said and "submit it again" in said


def test_a_failed_exit_handler_is_reported_of_a_run_that_kubeflow_calls_a_success(
    run: Tutelage, kubeflow: Kubeflow, keep: Callable[..., None]
) -> None:
    kubeflow.states, kubeflow.tasks = ["RUNNING", "SUCCEEDED"], {"publish": "SUCCEEDED", "clean-up": "FAILED"}
    keep("clean-up", TutelageError("a job is left", remedy="delete it"))
    done = run("status", "--run", "run-1", "--watch")
    assert done.exit_code == 1 and "clean-up: a job is left" in str(done.exception)
    assert "delete it" in str(done.exception)


# ------------------------------------------------------------------ pods


def pod(task: str, end: dict[str, Any], *, at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    """A step's own pod as Argo leaves it: the program's container is `main`."""
    terminated = {"exitCode": 1, "reason": "Error", "finishedAt": at, **end}
    return {
        "metadata": {
            "name": f"pod-{task}-{at[:10]}",
            "creationTimestamp": at,
            "labels": {"pipeline/runid": "run-1", "tutelage.dev/task": task},
            "annotations": {"kubectl.kubernetes.io/default-container": "main"},
        },
        "spec": {"containers": [{"name": "wait"}, {"name": "main"}]},
        "status": {
            "phase": "Failed",
            "containerStatuses": [
                {"name": "wait", "state": {"terminated": {"exitCode": 0, "finishedAt": at}}},
                {"name": "main", "state": {"terminated": terminated}},
            ],
        },
    }


@pytest.fixture
def pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Tutelage) -> Any:
    """The pods of a cluster that can be reached."""
    listed: list[dict[str, Any]] = []

    def answer(request: Request) -> Answer:
        if request.path.endswith("/log"):
            return 200, "I0101 launcher\nImportError: no module"
        if request.path == "/api/v1/namespaces/team/pods":
            return 200, {"items": listed, "metadata": {}}
        return 403, {"kind": "Status", "message": 'pods is forbidden: User "me" cannot list resource "pods"'}

    with served(answer) as url:
        write_kubeconfig(tmp_path / "kubeconfig", url, namespace="another")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield listed


def test_the_failure_of_a_step_without_a_store_is_read_from_its_pod(
    run: Tutelage, kubeflow: Kubeflow, pods: list[dict[str, Any]]
) -> None:
    kubeflow.several_users = True
    kubeflow.experiment["namespace"] = "team"
    kubeflow.states, kubeflow.tasks = ["FAILED"], {"clean-up": "FAILED"}
    pods.append(pod("clean-up", {"message": "clean-up: may not list rayjobs\n  remedy: bind the Role\n"}))
    shown = run("status", "--run", "run-1").output
    assert "clean-up: may not list rayjobs\n  remedy: bind the Role" in shown
    assert "namespace: team (the run's)" in shown


def test_a_killed_pod_is_reported_with_its_reason_and_remedy(
    run: Tutelage, kubeflow: Kubeflow, pods: list[dict[str, Any]]
) -> None:
    kubeflow.states, kubeflow.tasks = ["FAILED"], {"select": "FAILED", "evaluate": "FAILED"}
    pods.append(pod("select", {}, at="2026-01-01T00:00:00Z"))
    pods.append(pod("select", {"reason": "OOMKilled", "exitCode": 137}, at="2026-01-02T00:00:00Z"))
    pods.append(pod("evaluate", {}))
    shown = run("status", "--run", "run-1", "--namespace", "team").output
    assert "select: pod pod-select-2026-01-02: OOMKilled (exit code 137)" in shown, "the latest attempt"
    assert "raise memory of the step in placement.tasks" in shown
    assert "  | ImportError: no module" in shown, "a step that never started its work has only its log"


def test_where_nothing_is_known_it_reports_what_was_asked(
    run: Tutelage, kubeflow: Kubeflow, pods: list[dict[str, Any]], store: Path
) -> None:
    kubeflow.states, kubeflow.tasks = ["FAILED"], {"select": "FAILED"}
    shown = run("status", "--run", "run-1", "--namespace", "team").output
    assert (
        f"the step wrote nothing to {store}" in shown and "its failed pod no longer exists in namespace team" in shown
    )
    unseen = run("status", "--run", "run-1", "--namespace", "other").output
    assert "pods cannot be read from here: user me may not list pods" in unseen


def test_an_unreachable_store_is_reported_with_its_remedy(tutelage: Tutelage, kubeflow: Kubeflow) -> None:
    kubeflow.states, kubeflow.tasks = ["FAILED"], {"select": "FAILED"}
    failed = str(tutelage.submit("--watch").exception)
    assert "the store cannot be read from here: s3://bucket/demo" in failed
    assert "no Kubernetes cluster can be found" in failed and "/#/runs/details/run-1" in failed


# ------------------------------------------------------------------ cancelled runs


def test_a_cancelled_run_is_reported_as_cancelled(tutelage: Tutelage, kubeflow: Kubeflow) -> None:
    kubeflow.states, kubeflow.tasks = ["RUNNING"], {"collect": "SUCCEEDED", "synthesize": "FAILED"}
    tutelage.submit()
    assert tutelage("cancel", "demo").exit_code == 0
    ending = tutelage("status", "demo")
    assert "demo: being cancelled" in ending.output
    ended = tutelage("status", "demo")
    assert "demo: cancelled" in ended.output and ended.exit_code == 1
    row = next(line for line in ended.output.splitlines() if line.startswith("│") and "synthesize" in line)
    assert "interrupted" in row and "failed" not in ended.output
    watched = str(tutelage("status", "demo", "--watch").exception)
    assert "run run-1 was cancelled" in watched and "submit it again to continue" in watched
    assert "mend" not in watched and "failed" not in watched


def test_a_task_that_failed_before_the_cancel_failed(
    run: Tutelage, kubeflow: Kubeflow, keep: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.pipelines.stand_in.BEGIN", "2026-01-01T00:00:10Z")
    kubeflow.states, kubeflow.tasks = ["CANCELING", "FAILED"], {"synthesize": "FAILED"}
    keep("synthesize")
    run("status", "--run", "run-1")
    shown = run("status", "--run", "run-1").output
    assert "cancelled" in shown and f"synthesize: {NO_ANSWER}" in shown


def test_a_run_that_succeeded_before_the_cancel_is_not_a_cancelled_one(run: Tutelage, kubeflow: Kubeflow) -> None:
    kubeflow.states, kubeflow.tasks = ["CANCELING", "SUCCEEDED"], {"collect": "SUCCEEDED"}
    run("status", "--run", "run-1")
    assert run("status", "--run", "run-1").exit_code == 0
