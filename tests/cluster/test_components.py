"""What Kubeflow does to a step's pod while its job runs: lost pods, retries, cancelled runs, deleted runs.

The train step is run for itself, on rows that the test puts into the store, as a two-node TrainJob.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from components.shared.output import Output
from components.shared.rows import Message, Scores, SftRow
from components.shared.settings import Settings
from tests.cluster.access import Namespace, Object
from tests.cluster.demo import compile_demo, placement_for
from tests.cluster.jobs import wait_for
from tests.cluster.kubeflow.compiled import Outcome
from tests.cluster.kubeflow.run import Run, TaskFailedError
from tests.cluster.storage import Storage

ROWS = 160
TRAINING = {
    "method": "sft",
    "learning_rate": 1e-3,
    "epochs": 3,
    "global_batch": 8,
    "cutoff": 64,
    "precision": "fp32",
    "gradient_checkpointing": False,
    "checkpoint_steps": 5,
}
"""A training of 60 steps."""


class TrainRun:
    """A run whose select step is done, so that its first task is the training."""

    def __init__(self, run: Run, namespace: Namespace) -> None:
        self.run, self.namespace = run, namespace

    def jobs(self) -> list[Object]:
        """The TrainJobs that there are."""
        return list(self.namespace.cluster.get("trainjobs", namespace=self.namespace.name)["items"])

    def pods_of_jobs(self) -> list[Object]:
        """Pods of all jobs."""
        return list(
            self.namespace.cluster.get("pods", "--selector=tutelage.dev/job", namespace=self.namespace.name)["items"]
        )

    def training(self) -> bool:
        """Whether the first optimizer steps are done: a checkpoint is in the store."""
        return "checkpoint at step" in self.run.log(self.run.pods[-1])

    def nothing_left(self) -> bool:
        """Whether neither a job that goes on nor a pod of one is there."""
        return not self.jobs() and not self.pods_of_jobs()


@pytest.fixture
def training(
    namespace: Namespace, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TrainRun]:
    """A run of the demo's recipe that stands before its training."""
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    changes = {"train": {"sft": {"settings": TRAINING}}, "merge": {}}
    compiled = compile_demo(namespace, placement_for(storage, tmp_path), tmp_path, changes)
    core = client.CoreV1Api(config.new_client_from_config(str(namespace.cluster.kubeconfig)))
    run = Run(core, namespace.name, compiled, root=f"{namespace.store}/kubeflow", parameters={})
    _put_selected(run, f"{namespace.store}/demo", storage, namespace)
    yield TrainRun(run, namespace)


def _put_selected(run: Run, root: str, storage: Storage, namespace: Namespace) -> None:
    """Make the select step's output, and hand it over as Kubeflow would."""
    output = Output(root, "select", 1, Settings(), {})
    output.write_rows("sft/00000", [_row(number) for number in range(ROWS)])
    manifest = output.finish("selection/1")
    key = f"kubeflow/{run.name}/select/dataset"
    storage.client.put_object(Bucket=namespace.bucket, Key=key, Body=manifest.model_dump_json().encode())
    artifact = {
        "name": "dataset",
        "type": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
        "uri": f"{namespace.store}/{key}",
        "metadata": {},
    }
    run.made["select"] = Outcome({}, {"dataset": artifact})


def _row(number: int) -> SftRow:
    prompt = (Message(role="user", content=f"What is {number} plus 1?"),)
    return SftRow(id=str(number), prompt=prompt, completion=str(number + 1), origin="teacher", scores=Scores())


def test_killed_component_pod_is_retried_and_finds_its_job(training: TrainRun) -> None:
    run, task = training.run, training.run.task("train")
    first = run.start_pod(task, 0)
    wait_for("training", training.training, 300, lambda: run.log(first))
    (job,) = training.jobs()
    run.core.delete_namespaced_pod(first, run.namespace, grace_period_seconds=5)
    assert run.wait(first) in {"Gone", "Failed"}
    second = run.start_pod(task, 1)
    assert run.wait(second) == "Succeeded", run.log(second)
    (after,) = training.jobs()
    assert after["metadata"]["uid"] == job["metadata"]["uid"], "one job, not two"


def test_component_that_starts_twice_makes_one_job(training: TrainRun) -> None:
    run, task = training.run, training.run.task("train")
    first, second = run.start_pod(task, 0), run.start_pod(task, 1)
    assert [run.wait(first), run.wait(second)] == ["Succeeded", "Succeeded"], run.log(first) + run.log(second)
    assert len(training.jobs()) == 1


@pytest.mark.parametrize("seconds_left", ["many", "half"])
def test_cancelled_run_ends_its_job(training: TrainRun, seconds_left: str) -> None:
    run, task = training.run, training.run.task("train")
    pod = run.start_pod(task, 0)
    wait_for("training", training.training, 300, lambda: run.log(pod))
    run.cancel(heeds_annotation=seconds_left == "many")
    assert run.wait(pod, 60) == "Failed"
    with pytest.raises(TaskFailedError, match="cancelled"):
        run.execute()  # its tasks are over; the exit handler runs
    wait_for("nothing to be left", training.nothing_left, 90, lambda: str(training.jobs()))


def test_exit_handler_ends_the_job_of_a_step_that_could_not(training: TrainRun) -> None:
    run, task = training.run, training.run.task("train")
    pod = run.start_pod(task, 0)
    wait_for("training", training.training, 300, lambda: run.log(pod))
    # The node that the step ran on is gone: no signal, no time to clean up.
    run.core.delete_namespaced_pod(pod, run.namespace, grace_period_seconds=0)
    assert len(training.jobs()) == 1
    run.cancelled.set()
    with pytest.raises(TaskFailedError):
        run.execute()
    wait_for("nothing to be left", training.nothing_left, 90, lambda: str(training.jobs()))


def test_deleted_run_takes_its_job_along(training: TrainRun) -> None:
    run, task = training.run, training.run.task("train")
    pod = run.start_pod(task, 0)
    wait_for("training", training.training, 300, lambda: run.log(pod))
    run.delete()
    wait_for("nothing to be left", training.nothing_left, 90, lambda: str(training.jobs()))


def test_retry_hours_later_is_still_allowed(training: TrainRun) -> None:
    policy = training.run.task("train").spec["retryPolicy"]
    assert float(policy["backoffMaxDuration"].removesuffix("s")) >= 24 * 3600
