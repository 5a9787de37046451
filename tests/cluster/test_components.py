"""What Kubeflow does to a step's pod while its job runs: lost pods, retries, cancelled runs, deleted runs.

Jobs have one node where their number is not the point: the second one would take as long to import its libraries.
"""

import pytest

from components.shared.store.attempts import ATTEMPTS_VARIABLE
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.kubeflow.run import TaskFailedError
from tests.cluster.training import TrainRun, continued_from

pytest_plugins = "tests.cluster.training_fixtures"
LONG = 60
"""Epochs of trainings that are ended from outside: a busy machine does three before the exit handler has begun."""


def test_killed_component_pod_is_retried_and_finds_its_job(training: TrainRun) -> None:
    run = training.begin(nodes=1).run
    first = training.start_and_wait_for_checkpoint()
    (job,) = training.jobs()
    run.core.delete_namespaced_pod(first, run.namespace, grace_period_seconds=5)
    assert run.wait(first) in {"Gone", "Failed"}
    second = training.start(1)
    assert run.wait(second) == "Succeeded", run.log(second)
    (after,) = training.jobs()
    assert after["metadata"]["uid"] == job["metadata"]["uid"], "one job, not two"


def test_step_retries_within_its_pod_where_argo_does_not(training: TrainRun) -> None:
    """Its job has used up its restarts; with OnError the step's own failure would be final."""
    run = training.begin(restarts=0).run
    pod = training.start_and_wait_for_checkpoint()
    training.kill_second_worker()
    training.wait_for("retry 1 of 2 in this pod", pod)
    assert run.wait(pod) == "Succeeded", run.log(pod)
    assert continued_from(run.log(pod)) >= 5 and len(training.jobs()) == 1


def test_step_whose_store_is_down_retries_within_its_pod(training: TrainRun, s3_proxy: FaultProxy) -> None:
    run = training.begin(endpoint=s3_proxy.endpoint).run
    run.components = frozenset({"components.collect.component"})
    task = run.task("collect")
    # A client with many retries would outlast the outage by itself.
    next(one for one in task.executor["env"] if one["name"] == ATTEMPTS_VARIABLE)["value"] = "1"
    with s3_proxy.unavailable():
        pod = run.start_pod(task)
        training.wait_for("retry 1 of 2 in this pod in 30 s", pod)
    assert run.wait(pod) == "Succeeded", run.log(pod)
    assert s3_proxy.requests_refused > 0 and "FAILED" not in run.log(pod)


def test_component_that_starts_twice_makes_one_job(training: TrainRun) -> None:
    run = training.begin(nodes=1).run
    first, second = training.start(), training.start(1)
    assert [run.wait(first), run.wait(second)] == ["Succeeded", "Succeeded"], run.log(first) + run.log(second)
    assert len(training.jobs()) == 1


@pytest.mark.parametrize("seconds_left", ["many", "half"])
def test_cancelled_run_ends_its_job(training: TrainRun, seconds_left: str) -> None:
    run = training.begin(nodes=1, epochs=LONG).run
    pod = training.start_and_wait_for_checkpoint()
    run.cancel(heeds_annotation=seconds_left == "many")
    assert run.wait(pod, 60) == "Failed"
    with pytest.raises(TaskFailedError, match="cancelled"):
        run.execute()  # its tasks are over; the exit handler runs
    training.wait_until_nothing_is_left()


def test_exit_handler_ends_the_job_of_a_step_that_could_not(training: TrainRun) -> None:
    run = training.begin(nodes=1, epochs=LONG).run
    pod = training.start_and_wait_for_checkpoint()
    # The node that the step ran on is gone: no signal, no time to clean up.
    run.core.delete_namespaced_pod(pod, run.namespace, grace_period_seconds=0)
    assert len(training.jobs()) == 1
    run.cancelled.set()
    with pytest.raises(TaskFailedError):
        run.execute()
    training.wait_until_nothing_is_left()


def test_deleting_a_run_deletes_its_job(training: TrainRun) -> None:
    run = training.begin(nodes=1, epochs=LONG).run
    training.start_and_wait_for_checkpoint()
    run.delete()
    training.wait_until_nothing_is_left()


def test_retry_hours_later_is_allowed(training: TrainRun) -> None:
    policy = training.begin().run.task("train").spec["retryPolicy"]
    assert float(policy["backoffMaxDuration"].removesuffix("s")) >= 24 * 3600
