"""KTO's pairs and weights."""

from array import array

import numpy as np
import pytest

from components.shared.errors import InputError
from components.train.batches.split import split_batch
from components.train.batches.token_files import InMemory
from components.train.methods.kto import (
    JudgedExample,
    KtoOptions,
    KtoSettings,
    judged_columns,
    pair_examples,
    weights,
)
from components.train.methods.method import TrainingData


def settings(ranks: int) -> KtoSettings:
    return KtoSettings.model_validate(
        {
            "method": "kto",
            "epochs": 2,
            "global_batch": 8,
            "kto": {"kl_batch": 4},
            "launch": {"processes_per_node": ranks},
        }
    )


def examples(count: int) -> list[JudgedExample]:
    """Prompts [10 i], responses [10 i + 1] * (i + 1)."""
    return [JudgedExample(array("i", [10 * i]), array("i", [10 * i + 1] * (i + 1)), i % 2 == 0) for i in range(count)]


def prepare(rows: list[JudgedExample], given: KtoSettings) -> TrainingData:
    return pair_examples(judged_columns(rows), given, split_batch(given, given.ranks), InMemory())


def steps(ranks: int) -> list[list[tuple[object, ...]]]:
    """What each optimizer step holds: prompt, response, mismatched response, label."""
    prepared = prepare(examples(16), settings(ranks))
    names = ("prompt_ids", "completion_ids", "KL_completion_ids", "label")
    rows = [
        (tuple(prompt), tuple(completion), tuple(other), label)
        for prompt, completion, other, label in zip(*(prepared.columns[name] for name in names), strict=True)
    ]
    return [sorted(rows[place] for place in step) for step in prepared.order.reshape(-1, 8)]


def test_ranks_change_neither_rows_nor_pairs() -> None:
    assert steps(1) == steps(2)


def test_mismatched_responses_come_from_other_rows() -> None:
    for step in steps(2):
        assert {other for _, _, other, _ in step} == {completion for _, completion, _, _ in step}
        assert all(other != completion for _, completion, other, _ in step)


def uneven(count: int) -> list[JudgedExample]:
    """Rows of as many prompts, whose lengths are log-normal."""
    lengths = np.random.default_rng(0).lognormal(4, 0.8, size=count).astype(int) + 1
    return [JudgedExample(array("i", [n]), array("i", [n] * length), n % 3 == 0) for n, length in enumerate(lengths)]


def many(ranks: int = 1, epochs: int = 3, seed: int = 1, rows: int = 400) -> TrainingData:
    given = settings(ranks).model_copy(update={"epochs": epochs, "seed": seed, "global_batch": 16})
    return prepare(uneven(rows), given)


def groups_of_epochs(prepared: TrainingData, epochs: int = 3) -> list[list[tuple[int, ...]]]:
    """The rows of each reference point in the order of training, by epoch."""
    return [[tuple(sorted(group)) for group in epoch] for epoch in prepared.order.reshape(epochs, -1, 4).tolist()]


def test_the_rows_of_a_reference_point_are_the_same_in_every_epoch() -> None:
    first, *others = groups_of_epochs(many())
    assert [sorted(epoch) for epoch in others] == [sorted(first)] * 2
    assert sorted(row for group in first for row in group) == list(range(400)), "every row once"
    columns = [many(epochs=epochs).columns["KL_completion_ids"] for epochs in (1, 3)]
    assert [ids.tolist() for ids in columns[0]] == [ids.tolist() for ids in columns[1]]


def test_every_epoch_has_an_order_of_its_own_which_the_seed_decides() -> None:
    first, second, third = groups_of_epochs(many())
    assert first != second != third != first
    assert groups_of_epochs(many()) == [first, second, third]
    assert groups_of_epochs(many(epochs=4), 4)[:3] == [first, second, third], "more epochs continue the same order"
    assert groups_of_epochs(many(seed=2))[0] != first


def test_every_step_has_the_same_groups_on_other_ranks() -> None:
    """So a checkpoint, which holds the step's number alone, continues there."""
    assert groups_of_epochs(many(1)) == groups_of_epochs(many(2))


def test_the_rows_of_a_reference_point_are_of_similar_length() -> None:
    """Padding to the longest row of a group, in positions, beside groups that are drawn."""
    prepared = many(epochs=1)
    drawn = np.random.default_rng(0).permutation(prepared.lengths)

    def padding(lengths: np.ndarray) -> int:
        groups = lengths.reshape(-1, 4)
        return int((groups.max(axis=1, keepdims=True) - groups).sum())

    found, by_chance = padding(prepared.lengths), padding(drawn)
    print(f"padding to the longest row: {found:,} positions beside {prepared.lengths.sum():,}, drawn {by_chance:,}")
    assert 3 * found < by_chance
    steps_mean = prepared.lengths[prepared.order].reshape(-1, 16).mean(axis=1)
    assert steps_mean.std() < prepared.lengths.std(), "steps mix groups of different length"


def test_rows_that_fill_the_last_step_are_counted() -> None:
    prepared = many(epochs=1, rows=393)
    assert prepared.counts["rows_repeated"] == 7 and many(epochs=1).counts["rows_repeated"] == 0
    prompts = [int(ids[0]) for ids in prepared.columns["prompt_ids"]]
    assert set(prompts) == set(range(393)) and len(prompts) == 400


def test_the_rarer_kind_has_the_larger_weight() -> None:
    assert weights(KtoOptions(), 100, 50) == {"desirable_weight": 1.0, "undesirable_weight": 2.0}
    assert weights(KtoOptions(), 50, 100) == {"desirable_weight": 2.0, "undesirable_weight": 1.0}
    given = KtoOptions(balance=False, desirable_weight=1.2)
    assert weights(given, 50, 100) == {"desirable_weight": 1.2, "undesirable_weight": 1.0}


def pairs(rows: list[JudgedExample], kl_batch: int = 4) -> list[tuple[int, int]]:
    """Prompt of each pair, and the prompt whose response it got."""
    of_response = {tuple(row.completion): row.prompt[0] for row in rows}
    given = settings(1).model_copy(update={"kto": KtoOptions(kl_batch=kl_batch)})
    columns = prepare(rows, given).columns
    return [
        (prompt[0], of_response[tuple(other)])
        for prompt, other in zip(columns["prompt_ids"], columns["KL_completion_ids"], strict=True)
    ]


def best_and_worst(prompts: int) -> list[JudgedExample]:
    """Two rows of each prompt, as select writes them."""
    return [JudgedExample(array("i", [n // 2]), array("i", [100 + n]), n % 2 == 0) for n in range(2 * prompts)]


@pytest.mark.parametrize("prompts", [2, 3, 4, 11, 50])
@pytest.mark.parametrize("kl_batch", [2, 4, 8])
def test_no_response_is_paired_with_its_own_prompt(prompts: int, kl_batch: int) -> None:
    assert all(prompt != other for prompt, other in pairs(best_and_worst(prompts), kl_batch))


def test_fewer_rows_than_a_batch_are_counted_and_noted() -> None:
    rows = [*best_and_worst(1), JudgedExample(array("i", [7]), array("i", [70]), True)]
    prepared = prepare(rows, settings(1))
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
    prepared = prepare(examples(16), settings(1))
    assert prepared.counts["kl_tokens"] == sum(map(len, prepared.columns["KL_completion_ids"]))
    assert prepared.counts["kl_pairs_elsewhere"] == 0
    assert prepared.notes == ()


def test_a_single_prompt_is_refused() -> None:
    with pytest.raises(InputError, match="all 2 KTO rows have the same prompt") as caught:
        prepare(best_and_worst(1), settings(1))
    assert "two prompts" in caught.value.remedy


def test_a_single_kind_is_refused() -> None:
    with pytest.raises(InputError, match="10 desirable and 0 undesirable"):
        weights(KtoOptions(), 10, 0)
