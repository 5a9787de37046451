"""Trainings continue from the newest complete checkpoint in the store, whatever happens to their pods and the store."""

import time

import pytest

from tests.cluster.access import Cluster
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.training import SETTINGS, TrainRun, continued_from, last_checkpoint

pytest_plugins = "tests.cluster.training_fixtures"
pytestmark = pytest.mark.long

STEPS = 60
FAULT_SECONDS = 60.0


@pytest.mark.parametrize("method", ["kto"])
def test_a_killed_worker_costs_at_most_one_checkpoint_interval(training: TrainRun, method: str) -> None:
    pod = training.begin(method=method).start_and_wait_for_checkpoint()
    training.wait_for("checkpoint at step 15", pod)
    before = last_checkpoint(training.run.log(pod))
    training.kill_second_worker()
    assert training.run.wait(pod) == "Succeeded", training.run.log(pod)
    log = training.run.log(pod)
    assert continued_from(log) >= before - 2 * SETTINGS["checkpoint_steps"], "the upload in progress and one interval"
    assert training.model(pod)["steps"] == STEPS


@pytest.mark.parametrize(("nodes", "then"), [(2, 1), (1, 2)])
def test_training_continues_with_another_number_of_ranks(training: TrainRun, nodes: int, then: int) -> None:
    first = training.begin(nodes=nodes).start_and_wait_for_checkpoint()
    training.wait_for("checkpoint at step 15", first)
    training.run.cancel()
    assert training.run.wait(first, 60) == "Failed"
    training.wait_until_nothing_is_left()
    training.run.cancelled.clear()
    training.again(nodes=then)
    second = training.start(1)
    assert training.run.wait(second) == "Succeeded", training.run.log(second)
    assert continued_from(training.run.log(second)) >= 5
    counts = training.model(second)
    assert counts["ranks"] == then and counts["steps"] == STEPS


def test_pytorchjob(training: TrainRun) -> None:
    pod = training.begin(launcher="PyTorchJob").start()
    assert training.run.wait(pod) == "Succeeded", training.run.log(pod)
    assert len(training.jobs("PyTorchJob")) == 1 and not training.jobs()
    counts = training.model(pod)
    assert counts["ranks"] == 2 and counts["steps"] == STEPS and counts["loss_last"] < counts["loss_first"]


@pytest.mark.parametrize("fault", ["unavailable", "cutting"])
def test_store_that_fails_for_a_minute(own_node: Cluster, training: TrainRun, s3_proxy: FaultProxy, fault: str) -> None:
    pod = training.begin(endpoint=s3_proxy.endpoint, epochs=15).start_and_wait_for_checkpoint()
    with getattr(s3_proxy, fault)():
        time.sleep(FAULT_SECONDS)
    assert s3_proxy.requests_refused > 0
    assert training.run.wait(pod) == "Succeeded", training.run.log(pod)
    assert training.model(pod)["steps"] == 5 * STEPS
