"""The tests' stand-in for Kubeflow's back end runs tasks as it does: each once those before it have succeeded."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.kubeflow.compile_pipeline import compile_pipeline
from pipelines.recipe.read_recipe import read_recipe
from tests.cluster.kubeflow.compiled import IN_ANY_CASE, Task, TaskOutputs, read_compiled
from tests.cluster.kubeflow.run import AT_ONCE, Run, TaskFailedError
from tests.small_study import small_study

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
        self.failing: Sequence[str] = ()
        self.names = {task.name for task in self.tasks}
        self.ending = {task.name for task in self.tasks if task.always}
        self._lock, self._meeting = threading.Lock(), threading.Barrier(2, timeout=60)

    def run_task(self, task: Task) -> TaskOutputs:
        with self._lock:
            self.began.append(task.name)
            self.peak = max(self.peak, len(self.began) - len(self.ended))
            assert task.always or self.names.intersection(task.after) <= {*self.ended}, task.name
        if task.name in {"merge", "merge-2"}:
            self._meeting.wait(60)
        with self._lock:
            if task.name in self.failing:
                raise TaskFailedError(task.name, "on purpose")
            self.ended.append(task.name)
        return TaskOutputs({}, {})

    def depending_on(self, name: str) -> set[str]:
        """The tasks that come after one, directly or by others."""
        found = {task.name for task in self.tasks if name in task.after}
        return found.union(*(self.depending_on(other) for other in found))


def compiled(recipe: Path, folder: Path) -> Path:
    read = read_recipe(recipe, {}, check_files=False, store="s3://bucket/demo", placement=PLACEMENT, for_cluster=None)
    compile_pipeline(read, folder / "compiled.yaml")
    return folder / "compiled.yaml"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's recipe, compiled."""
    return compiled(DEMO, tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study, compiled: its exit handler is a pipeline of two tasks."""
    folder = tmp_path_factory.mktemp("study")
    return compiled(Path(small_study(folder, "s3://bucket/study")), folder)


@pytest.fixture
def run(demo: Path) -> Recorded:
    return Recorded(demo)


@pytest.fixture
def study(small: Path) -> Recorded:
    return Recorded(small)


def test_tasks_run_once_after_those_that_they_depend_on_and_two_at_once(run: Recorded) -> None:
    made = run.execute()
    assert sorted(run.began) == sorted(run.names)
    assert run.peak == AT_ONCE
    assert {run.began[-1]} == run.ending == {"clean-up"} and made.keys() == run.names
    assert (run.state, run.failed, run.omitted) == ("SUCCEEDED", {}, set())


def test_after_a_failure_only_what_depends_on_it_does_not_run(run: Recorded) -> None:
    run.failing = ["train"]
    with pytest.raises(TaskFailedError, match="task train failed"):
        run.execute()
    after = run.depending_on("train")
    assert "publish" in after and {"train-2", "evaluate-2", "train-4"}.isdisjoint(after)
    assert sorted(run.began) == sorted(run.names - after) and run.omitted == after
    assert run.made.keys() == run.names - after - {"train"}
    assert {run.began[-1]} == run.ending and run.state == "FAILED"


def test_several_failures_are_named_in_the_order_in_which_they_came(study: Recorded) -> None:
    study.failing = ["train", "evaluate-4"]
    assert "evaluate-4" in study.depending_on("train-2"), "it fails later"
    with pytest.raises(TaskFailedError, match="task train failed") as raised:
        study.execute()
    assert [*study.failed] == ["train", "evaluate-4"]
    assert "failed: train, evaluate-4; not begun: choose" in raised.value.__notes__[0]


def test_all_tasks_of_an_exit_handler_run_once_the_others_have_ended(study: Recorded) -> None:
    study.failing = ["collect"]
    with pytest.raises(TaskFailedError, match="task collect failed"):
        study.execute()
    assert study.began[0] == "collect" and {*study.began[1:]} == study.ending == {"analyse", "clean-up"}


def test_a_failed_exit_handler_leaves_the_state_of_the_run_as_it_is(study: Recorded) -> None:
    study.failing = ["clean-up"]
    with pytest.raises(TaskFailedError, match="task clean-up failed"):
        study.execute()
    assert study.made.keys() == study.names - {"clean-up"} and study.state == "SUCCEEDED"


def test_a_task_that_would_be_the_exit_hook_of_several_others_is_not_interpreted(demo: Path, tmp_path: Path) -> None:
    pipeline, platform = yaml.safe_load_all(demo.read_text())
    group = pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    group["publish"]["triggerPolicy"] = {"strategy": IN_ANY_CASE}
    path = tmp_path / "compiled.yaml"
    path.write_text(yaml.safe_dump_all([pipeline, platform]))
    with pytest.raises(AssertionError, match=r"publish has the trigger .* once for each of them"):
        read_compiled(path)


def test_a_cancelled_run_begins_nothing_but_its_exit_handler(run: Recorded) -> None:
    run.cancelled.set()
    with pytest.raises(TaskFailedError, match="cancelled"):
        run.execute()
    assert {*run.began} == run.ending and run.omitted == run.names - run.ending and run.state == "FAILED"


def test_a_pod_of_a_component_that_the_test_does_not_name_is_refused(run: Recorded) -> None:
    run.components = frozenset({"components.merge.component"})
    with pytest.raises(AssertionError, match=r"has to name components\.collect\.component, which the pod of collect"):
        run.start_pod(run.task("collect"))
    assert {run.task(name).module for name in ("merge-2", "clean-up")} == {
        "components.merge.component",
        "components.clean_up.component",
    }
