"""The tests' stand-in for Kubeflow's back end runs tasks as it does: each once those before it have succeeded."""

import threading
from pathlib import Path
from typing import Any

import pytest

from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.recipe.read_recipe import read_recipe
from tests.cluster.kubeflow.compiled import Task, TaskOutputs
from tests.cluster.kubeflow.run import AT_ONCE, Run, TaskFailedError

PIPELINES = Path(__file__).parents[2] / "pipelines"
DEMO, PLACEMENT = PIPELINES / "recipes" / "demo.yaml", PIPELINES / "placements" / "small-cluster.yaml"


class NoCluster:
    """The one object that a run without pods creates."""

    def create_namespaced_config_map(self, namespace: str, body: dict[str, Any]) -> Any:
        class Made:
            class metadata:  # noqa: N801 - as the client names it
                uid = "1"

        return Made


class Recorded(Run):
    """Runs nothing, but records what began and ended; two merges wait for each other."""

    def __init__(self, compiled: Path) -> None:
        core: Any = NoCluster()
        super().__init__(core, "namespace", compiled, root="s3://bucket/kubeflow", parameters={}, components=None)
        self.began: list[str] = []
        self.ended: list[str] = []
        self.peak = 0
        self.failing = ""
        self.names = {task.name for task in self.tasks}
        (self.handler,) = (task.name for task in self.tasks if task.always)
        self._lock, self._meeting = threading.Lock(), threading.Barrier(2, timeout=60)

    def run_task(self, task: Task) -> TaskOutputs:
        with self._lock:
            self.began.append(task.name)
            self.peak = max(self.peak, len(self.began) - len(self.ended))
            assert task.always or self.names.intersection(task.after) <= {*self.ended}, task.name
        if task.name in {"merge", "merge-2"}:
            self._meeting.wait(60)
        if task.name == self.failing:
            raise TaskFailedError(task.name, "on purpose")
        with self._lock:
            self.ended.append(task.name)
        return TaskOutputs({}, {})


@pytest.fixture
def run(tmp_path: Path) -> Recorded:
    recipe = read_recipe(DEMO, {}, check_files=False, store="s3://bucket/demo", placement=PLACEMENT, for_cluster=None)
    compile_pipeline(recipe, tmp_path / "compiled.yaml")
    return Recorded(tmp_path / "compiled.yaml")


def test_tasks_run_once_after_those_that_they_depend_on_and_two_at_once(run: Recorded) -> None:
    made = run.execute()
    assert sorted(run.began) == sorted(run.names)
    assert run.peak == AT_ONCE
    assert run.began[-1] == run.handler and made.keys() == run.names - {run.handler}


def test_after_a_failure_only_the_exit_handler_begins(run: Recorded) -> None:
    run.failing = "select"
    with pytest.raises(TaskFailedError, match="select"):
        run.execute()
    assert "select" in run.began and "train" not in run.began and run.began[-1] == run.handler


def test_a_cancelled_run_begins_nothing_but_its_exit_handler(run: Recorded) -> None:
    run.cancelled.set()
    with pytest.raises(TaskFailedError, match="cancelled"):
        run.execute()
    assert run.began == [run.handler]


def test_a_pod_of_a_component_that_the_test_does_not_name_is_refused(run: Recorded) -> None:
    run.components = frozenset({"components.merge.component"})
    with pytest.raises(AssertionError, match=r"has to name components\.collect\.component, which the pod of collect"):
        run.start_pod(run.task("collect"))
    assert {run.task(name).module for name in ("merge-2", run.handler)} == {
        "components.merge.component",
        "components.clean_up.component",
    }
