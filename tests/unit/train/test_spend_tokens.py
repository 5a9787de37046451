"""The steps that a budget of tokens buys, whatever the epochs."""

import numpy as np
import pytest

from components.train.batches.spend_tokens import spend_tokens
from components.train.engine.losses import StepBook
from components.train.methods.method import TrainingData
from components.train.methods.registry import parse_train_settings

LENGTHS = np.array([10, 20, 30, 40])
FEWEST = np.array([3, 3, 3, 3])
SETTINGS = parse_train_settings({"method": "sft", "global_batch": 2, "epochs": 2, "launch": {"processes_per_node": 1}})


def data_of(epochs: int, fewest: np.ndarray | None = None) -> TrainingData:
    """Steps of 30 and 70 tokens in turn."""
    return TrainingData({}, np.tile(np.arange(4), epochs), LENGTHS, fewest=fewest)


@pytest.mark.parametrize(
    ("allowed", "steps"), [(1, 1), (30, 1), (31, 2), (100, 2), (200, 4), (201, 5), (1000, 20), (1030, 21), (1031, 22)]
)
def test_the_last_step_reaches_the_budget(allowed: int, steps: int) -> None:
    data = spend_tokens(data_of(2), allowed, SETTINGS, data_of)
    tokens = LENGTHS[data.order].reshape(-1, 2).sum(axis=1)
    assert len(tokens) == steps
    assert tokens[:-1].sum() < allowed <= tokens.sum()


def test_where_rollouts_decide_there_are_enough_steps_for_the_shortest() -> None:
    data = spend_tokens(data_of(2, FEWEST), 60, SETTINGS, lambda epochs: data_of(epochs, FEWEST))
    assert len(data.order) == 10 * 2


def test_a_training_ends_by_what_it_has_measured() -> None:
    book = StepBook("t", np.arange(20), np.full(10, 6), 2, allowed=50, measures_compute=True)
    assert [step for step in range(1, 11) if book.is_last(step)] == [9, 10]
    book.tokens[:2], book.generated[:2] = 20, 10
    assert [book.spent(step) for step in (1, 2)] == [30, 60]
    assert not book.is_last(1) and book.is_last(2)
    assert [book.share_spent(step) for step in (0, 1, 2)] == [0, 0.6, 1]
