"""KTO's pairs and weights."""

from array import array

import pytest

from components.shared.errors import InputError
from components.train.build_dataset import Example
from components.train.kto import Kto, weights
from components.train.settings import KtoSettings, TrainSettings
from components.train.split import split_batch


def settings(ranks: int) -> TrainSettings:
    return TrainSettings.model_validate(
        {
            "method": "kto",
            "epochs": 2,
            "global_batch": 8,
            "kto": {"kl_batch": 4},
            "launch": {"processes_per_node": ranks},
        }
    )


def examples(count: int) -> list[Example]:
    """Prompts [10 i], responses [10 i + 1] * (i + 1)."""
    return [Example(array("i", [10 * i]), array("i", [10 * i + 1] * (i + 1)), i % 2 == 0) for i in range(count)]


def steps(ranks: int) -> list[list[tuple[object, ...]]]:
    """What each optimizer step holds: prompt, response, mismatched response, label."""
    prepared = Kto().prepare(examples(16), settings(ranks), split_batch(settings(ranks), ranks))
    rows = [
        (tuple(prompt), tuple(completion), tuple(other), label)
        for prompt, completion, other, label in zip(*prepared.columns.values(), strict=True)
    ]
    return [sorted(rows[place] for place in step) for step in prepared.order.reshape(-1, 8)]


def test_ranks_change_neither_rows_nor_pairs() -> None:
    assert steps(1) == steps(2)


def test_mismatched_responses_are_another_rows() -> None:
    for step in steps(2):
        assert {other for _, _, other, _ in step} == {completion for _, completion, _, _ in step}
        assert all(other != completion for _, completion, other, _ in step)


def test_every_epoch_has_the_same_batches() -> None:
    assert steps(2)[:2] == steps(2)[2:]


def test_the_rarer_kind_weighs_more() -> None:
    assert weights(KtoSettings(), 100, 50) == {"desirable_weight": 1.0, "undesirable_weight": 2.0}
    assert weights(KtoSettings(), 50, 100) == {"desirable_weight": 2.0, "undesirable_weight": 1.0}
    given = KtoSettings(balance=False, desirable_weight=1.2)
    assert weights(given, 50, 100) == {"desirable_weight": 1.2, "undesirable_weight": 1.0}


def test_one_kind_alone_is_refused() -> None:
    with pytest.raises(InputError, match="10 desirable and 0 undesirable"):
        weights(KtoSettings(), 10, 0)
