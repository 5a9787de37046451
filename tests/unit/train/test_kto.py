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


def pairs(rows: list[Example], kl_batch: int = 4) -> list[tuple[int, int]]:
    """Prompt of each pair, and the prompt whose response it got."""
    of_response = {tuple(row.completion): row.prompt[0] for row in rows}
    given = settings(1).model_copy(update={"kto": KtoSettings(kl_batch=kl_batch)})
    columns = Kto().prepare(rows, given, split_batch(given, 1)).columns
    return [
        (prompt[0], of_response[tuple(other)])
        for prompt, other in zip(columns["prompt_ids"], columns["KL_completion_ids"], strict=True)
    ]


def best_and_worst(prompts: int) -> list[Example]:
    """Two rows of each prompt, as select makes them."""
    return [Example(array("i", [n // 2]), array("i", [100 + n]), n % 2 == 0) for n in range(2 * prompts)]


@pytest.mark.parametrize("prompts", [2, 3, 4, 11, 50])
@pytest.mark.parametrize("kl_batch", [2, 4, 8])
def test_no_response_is_paired_with_its_own_prompt(prompts: int, kl_batch: int) -> None:
    assert all(prompt != other for prompt, other in pairs(best_and_worst(prompts), kl_batch))


def test_fewer_rows_than_a_batch_are_counted_and_said() -> None:
    rows = [*best_and_worst(1), Example(array("i", [7]), array("i", [70]), True)]
    prepared = Kto().prepare(rows, settings(1), split_batch(settings(1), 1))
    counts = prepared.counts
    assert (counts["prompts"], counts["kl_pairs"]) == (2, 8)
    assert counts["kl_pairs_elsewhere"] > 0
    few, outside = prepared.notes
    assert few.startswith("3 rows are fewer than kto.kl_batch 4: they are repeated")
    assert outside.startswith(
        f"{counts['kl_pairs_elsewhere']:.0f} of 8 mismatched pairs take their response from outside"
    )
    assert all(prompt != other for prompt, other in pairs(rows))


def test_ordinary_rows_need_no_note() -> None:
    prepared = Kto().prepare(examples(16), settings(1), split_batch(settings(1), 1))
    assert prepared.counts["kl_pairs_elsewhere"] == 0
    assert prepared.notes == ()


def test_one_prompt_alone_is_refused() -> None:
    with pytest.raises(InputError, match="all 2 KTO rows have the same prompt") as caught:
        Kto().prepare(best_and_worst(1), settings(1), split_batch(settings(1), 1))
    assert "two prompts" in caught.value.remedy


def test_one_kind_alone_is_refused() -> None:
    with pytest.raises(InputError, match="10 desirable and 0 undesirable"):
        weights(KtoSettings(), 10, 0)
