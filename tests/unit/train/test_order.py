"""Rows come in an order that the seed alone decides: not the ranks, not the micro-batch."""

import numpy as np
import pytest

from components.shared.errors import SettingsError
from components.train.batches.order import dealt, mismatched, shuffled
from components.train.batches.split import Split, split_batch
from components.train.methods.registry import parse_train_settings
from components.train.methods.sft import SftSettings

LENGTHS = np.random.default_rng(0).integers(5, 200, size=100)


def rows_of_steps(split: Split, group: int) -> list[list[int]]:
    """The rows of each optimizer step, over all ranks and micro-batches."""
    order = dealt(shuffled(100, split.global_batch, seed=1, epoch=0), LENGTHS, split, group)
    return [sorted(step.tolist()) for step in order.reshape(-1, split.global_batch)]


def test_every_row_comes_in_an_epoch_and_the_last_step_is_full() -> None:
    order = shuffled(100, 32, seed=1, epoch=0)
    assert len(order) == 128
    assert sorted(order[:100]) == list(range(100))
    assert list(order[100:]) == list(order[:28])


def test_fewer_rows_than_a_step_are_repeated() -> None:
    assert sorted(shuffled(3, 8, seed=1, epoch=0).tolist()) == sorted([*range(3), *range(3), *shuffled(3, 3, 1, 0)[:2]])


def test_epochs_differ_and_seeds_differ() -> None:
    first, second = shuffled(100, 20, seed=1, epoch=0), shuffled(100, 20, seed=1, epoch=1)
    assert first.tolist() != second.tolist()
    assert first.tolist() != shuffled(100, 20, seed=2, epoch=0).tolist()
    assert first.tolist() == shuffled(100, 20, seed=1, epoch=0).tolist()


@pytest.mark.parametrize("split", [Split(2, 4, 2), Split(4, 4, 1), Split(1, 2, 8), Split(8, 1, 2)])
def test_ranks_and_micro_batch_do_not_change_a_steps_rows(split: Split) -> None:
    assert rows_of_steps(split, group=16) == rows_of_steps(Split(1, 16, 1), group=16)


def test_ranks_work_on_about_equal_lengths() -> None:
    split = Split(2, 8, 2)
    order = dealt(shuffled(96, 32, seed=1, epoch=0), LENGTHS, split, 32)
    longest = LENGTHS[order].reshape(-1, split.ranks, split.micro_batch).max(axis=2)
    unsorted = LENGTHS[shuffled(96, 32, seed=1, epoch=0)].reshape(-1, split.ranks, split.micro_batch).max(axis=2)
    assert longest.sum() < unsorted.sum()


def test_mismatched_pairs_stay_in_their_group() -> None:
    order = np.array([7, 3, 9, 1, 4, 8])
    partners, elsewhere = mismatched(order, 3, prompts=np.arange(10), seed=0)
    assert partners.tolist() == [9, 7, 3, 8, 1, 4]
    assert elsewhere == 0


@pytest.mark.parametrize("rows_of_a_prompt", [1, 2, 3, 4])
def test_no_pair_shares_its_prompt_and_a_groups_responses_are_its_own(rows_of_a_prompt: int) -> None:
    prompts = np.arange(96) // rows_of_a_prompt
    order = shuffled(96, 32, seed=5, epoch=0)
    partners, elsewhere = mismatched(order, 8, prompts, seed=0)
    assert elsewhere == 0
    assert (prompts[order] != prompts[partners]).all()
    for group, own in zip(partners.reshape(-1, 8), order.reshape(-1, 8), strict=True):
        assert sorted(group) == sorted(own)


@pytest.mark.parametrize(
    ("prompts", "kl_batch", "elsewhere"),
    [
        ([0, 0, 1], 4, 2),  # fewer rows than a group: one of them comes twice
        ([0, 1], 8, 0),
        ([0, 0, 0, 0, 0, 0, 0, 1], 8, 6),
        ([0, 0, 1, 1], 4, 0),
        ([0, 0, 0, 1, 2, 2, 2, 2], 2, None),
    ],
)
def test_where_a_prompt_fills_more_than_half_of_a_group_responses_come_from_elsewhere(
    prompts: list[int], kl_batch: int, elsewhere: int | None
) -> None:
    numbers = np.array(prompts)
    order = np.resize(np.arange(len(prompts)), -(-len(prompts) // kl_batch) * kl_batch)
    partners, found = mismatched(order, kl_batch, numbers, seed=0)
    assert (numbers[order] != numbers[partners]).all()
    assert found == elsewhere or elsewhere is None
    assert partners.tolist() == mismatched(order, kl_batch, numbers, seed=0)[0].tolist()


def test_the_micro_batch_is_the_largest_that_divides() -> None:
    settings = SftSettings(global_batch=24, micro_batch=10)
    assert split_batch(settings, ranks=2) == Split(ranks=2, micro_batch=6, accumulation=2)
    assert split_batch(settings, ranks=1) == Split(ranks=1, micro_batch=8, accumulation=3)


def test_kto_forwards_hold_the_rows_of_one_reference_point() -> None:
    settings = parse_train_settings({"method": "kto", "global_batch": 32, "kto": {"kl_batch": 8}})
    assert split_batch(settings, ranks=2) == Split(ranks=2, micro_batch=4, accumulation=4)


def test_ranks_that_do_not_divide_are_refused() -> None:
    with pytest.raises(SettingsError, match="global_batch 32 is not divisible by 3 ranks"):
        split_batch(SftSettings(), ranks=3)
