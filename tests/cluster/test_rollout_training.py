"""GRPO as a two-node TrainJob: rollouts by transformers on CPUs, each a row in the store, whatever happens to a pod."""

import json
from collections import Counter

import pytest

from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from tests.cluster.curriculum import PROBLEMS, STEP_ROLLOUTS, RolloutRun
from tests.cluster.training import continued_from, last_checkpoint

pytest_plugins = "tests.cluster.training_fixtures"
pytestmark = pytest.mark.long

STEPS = PROBLEMS * 8 // STEP_ROLLOUTS
"""Optimizer steps of an epoch."""
INTERVAL = 4
"""Steps between checkpoints."""


@pytest.fixture
def kind_of_training() -> type[RolloutRun]:
    """Runs right before their training by RL."""
    return RolloutRun


def test_two_nodes_record_rewards_and_store_every_rollout(training: RolloutRun) -> None:
    pod = training.begin_rollouts().start()
    assert training.run.wait(pod) == "Succeeded", training.run.log(pod)
    (job,) = training.jobs()
    assert job["spec"]["trainer"]["numNodes"] == 2
    made = training.made(pod)
    assert (made.counts["ranks"], made.counts["steps"]) == (2, STEPS)
    _check_rollouts(training, made, STEPS)


@pytest.mark.whole
def test_a_killed_worker_costs_no_rollout(training: RolloutRun) -> None:
    pod = training.begin_rollouts(epochs=2, checkpoint_steps=INTERVAL).start_and_wait_for_checkpoint()
    before = last_checkpoint(training.run.log(pod))
    training.kill_second_worker()
    assert training.run.wait(pod) == "Succeeded", training.run.log(pod)
    assert continued_from(training.run.log(pod)) >= before - 2 * INTERVAL, "the upload in progress and one interval"
    made = training.made(pod)
    assert made.counts["steps"] == 2 * STEPS
    _check_rollouts(training, made, 2 * STEPS)


def _check_rollouts(training: RolloutRun, made: Manifest, steps: int) -> None:
    """Every step has all its rollouts, and its recorded reward is their mean."""
    rows = training.rollouts(made)
    assert Counter(row.step for row in rows) == dict.fromkeys(range(1, steps + 1), STEP_ROLLOUTS)
    assert made.counts["rollouts"] == len(rows) and made.counts["rollouts_without_verdict"] == 0
    assert all(row.text for row in rows if row.reward), "a right rollout has an answer"
    recorded = [json.loads(line) for line in Library(training.root).read_bytes(made, "losses.jsonl").splitlines()]
    assert [record["step"] for record in recorded] == list(range(1, steps + 1))
    for record in recorded:
        earned = [row.reward for row in rows if row.step == record["step"] and row.reward is not None]
        assert record["reward"] == pytest.approx(sum(earned) / STEP_ROLLOUTS, abs=1e-6)
    assert 0 < sum(record["reward"] for record in recorded) < steps, "the student solves these problems in part"
