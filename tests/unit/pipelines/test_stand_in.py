"""The stand-ins for Kubeflow behave as the real back end was observed to, where our tests depend on it."""

import threading
from typing import Any

import pytest

from tests.cluster.kubeflow import run
from tests.cluster.kubeflow.compiled import Task, TaskOutputs
from tests.cluster.kubeflow.run import DONE, Policy, Run, TaskFailedError
from tests.cluster.kubeflow.task_pod import Place, task_pod
from tests.unit.pipelines.stand_in import Kubeflow, Request

ASKED = {"maxRetryCount": 2, "backoffDuration": "30s", "backoffFactor": 2.0, "backoffMaxDuration": "604800s"}


def task(spec: dict[str, Any]) -> Task:
    return Task("train", "exec-train", spec, {}, {"image": "train:1", "command": ["sh"]}, {}, (), always=False)


class Scripted(Run):
    """A run whose pods end as a test specifies."""

    def __init__(self, policy: Policy, *phases: str) -> None:
        self.policy, self.phases, self.attempts = policy, list(phases), list[int]()
        self.logs, self.cancelled = {}, threading.Event()

    def start_pod(self, task: Task, attempt: int = 0) -> str:
        self.attempts.append(attempt)
        return f"pod-{attempt}"

    def wait(self, pod: str, seconds: float = 0) -> str:
        return self.phases.pop(0)

    def log(self, pod: str) -> str:
        return f"[train] FAILED why\n{DONE}{{}}"

    def _given(self, task: Task) -> dict[str, Any]:
        return {"outputs": {"artifacts": {}}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BACKOFF_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("policy", "phases", "attempts"),
    [
        ("OnError", ["Gone", "Succeeded"], [0, 1]),
        ("OnFailure", ["Failed", "Succeeded"], [0, 1]),
        ("Always", ["Failed", "Gone", "Succeeded"], [0, 1, 2]),
    ],
)
def test_pods_that_are_started_again(policy: Policy, phases: list[str], attempts: list[int]) -> None:
    scripted = Scripted(policy, *phases)
    assert scripted.run_task(task({"retryPolicy": ASKED})) == TaskOutputs({}, {})
    assert scripted.attempts == attempts


@pytest.mark.parametrize(
    ("policy", "phases"),
    [("OnError", ["Failed"]), ("OnFailure", ["Gone"]), ("OnError", ["Gone"] * 3), ("Always", ["Failed"] * 3)],
)
def test_failures_that_are_final(policy: Policy, phases: list[str]) -> None:
    """A program that exits with 1 is not started again by the default install of KFP 2.17, nor a lost pod by 2.16."""
    scripted = Scripted(policy, *phases)
    with pytest.raises(TaskFailedError, match="FAILED why"):
        scripted.run_task(task({"retryPolicy": ASKED}))
    assert scripted.attempts == list(range(len(phases)))


@pytest.mark.parametrize(
    ("policy", "spec", "strategy"),
    [
        ("OnError", {"retryPolicy": ASKED}, '"retryPolicy": "OnError"'),
        ("OnFailure", {"retryPolicy": ASKED}, '"retryStrategy": {"limit": "2"'),
        ("OnError", {}, '{"name": "system-container-impl"}'),
    ],
)
def test_a_pod_finds_the_strategy_that_holds_for_it(policy: str, spec: dict[str, Any], strategy: str) -> None:
    place = Place("team", "run-1", {"name": "run-1"}, "pipeline-runner", "s3://bucket")
    pod = task_pod(task(spec), place, {}, 0, policy)
    (container,) = pod["spec"]["containers"]
    (template,) = (each["value"] for each in container["env"] if each["name"] == "KUBEFLOW_TEMPLATE")
    assert strategy in template and ("retryPolicy" in template) == (policy == "OnError" and bool(spec))
    assert "/var/run/argo" in {mount["mountPath"] for mount in container["volumeMounts"]}


def asked(kubeflow: Kubeflow, path: str, method: str = "GET", body: Any = None) -> Any:
    return kubeflow(Request(method, f"/apis/v2beta1/{path}", body, {}))[1]


@pytest.fixture
def kubeflow() -> Kubeflow:
    made = Kubeflow(states=["RUNNING", "FAILED"], tasks={"select": "FAILED"})
    asked(made, "runs", "POST", {"display_name": "demo", "pipeline_spec": {"root": {}}})
    return made


def test_failed_runs_and_tasks_carry_no_error(kubeflow: Kubeflow) -> None:
    asked(kubeflow, "runs/run-1")
    failed = asked(kubeflow, "runs/run-1")
    assert failed["state"] == "FAILED" and "error" not in failed
    assert [("error" in detail) for detail in failed["run_details"]["task_details"]] == [False]


def test_only_the_state_history_shows_that_a_run_was_cancelled(kubeflow: Kubeflow) -> None:
    asked(kubeflow, "runs/run-1")
    asked(kubeflow, "runs/run-1:terminate", "POST")
    states = [asked(kubeflow, "runs/run-1")["state"] for _ in range(2)]
    assert states == ["CANCELING", "FAILED"]
    history = [status["state"] for status in asked(kubeflow, "runs/run-1")["state_history"]]
    assert history == ["RUNNING", "CANCELING", "FAILED"]


def test_a_run_of_the_ui_refers_to_a_version(kubeflow: Kubeflow) -> None:
    kubeflow.by_reference = True
    found = asked(kubeflow, "runs/run-1")
    assert "pipeline_spec" not in found
    version = found["pipeline_version_reference"]
    path = f"pipelines/{version['pipeline_id']}/versions/{version['pipeline_version_id']}"
    assert asked(kubeflow, path)["pipeline_spec"] == {"root": {}}
