"""A step's rows on ranks of unequal speed: how early the slowest ends, what stays whole, and what is refused."""

from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from components.shared.errors import SettingsError
from components.train.balance.deal import DealtStep, deal_step
from components.train.balance.shares import RankSpeed, most_tokens, token_shares
from components.train.memory import DecoderShape, Need, make_plan

QWEN = DecoderShape(494_000_000, 494_000_000, 896, 24, 128, 896, 4864, 151_936)
"""Qwen2-0.5B."""
GIB = 2**30


def ranks_of(speeds: Sequence[float], tokens: int = 4096) -> list[RankSpeed]:
    return [
        RankSpeed(name=f"rank {place}", tokens_a_second=speed, most_tokens=tokens) for place, speed in enumerate(speeds)
    ]


def rows_of(dealt: DealtStep) -> list[int]:
    """All rows that are dealt, in order."""
    return sorted(row for rank in dealt.micro_batches for micro_batch in rank for row in micro_batch)


def log_normal(rows: int, seed: int) -> list[int]:
    return [int(length) for length in np.random.default_rng(seed).lognormal(5.5, 0.7, rows).clip(8, 2048)]


def best_of_all(lengths: Sequence[int], speeds: Sequence[float]) -> float:
    """The time of the slowest rank in the best of all deals that give every rank a row."""
    best = np.inf
    for owners in product(range(len(speeds)), repeat=len(lengths)):
        if len(set(owners)) == len(speeds):
            loads = np.bincount(owners, weights=lengths, minlength=len(speeds))
            best = min(best, float((loads / speeds).max()))
    return best


@pytest.mark.parametrize("seed", range(8))
def test_a_deal_is_near_the_best_of_all_deals(seed: int) -> None:
    lengths, speeds = log_normal(7, seed), [4.0, 2.0, 1.0]
    dealt = deal_step(lengths, ranks_of(speeds))
    assert max(dealt.seconds) <= 1.2 * best_of_all(lengths, speeds)


@pytest.mark.parametrize("speeds", [[1.0], [1.0, 1.0], [8.0, 8.0, 3.0, 1.0], [10.0] * 30 + [1.0] * 34])
def test_every_row_is_dealt_once_and_ranks_end_together(speeds: list[float]) -> None:
    lengths = log_normal(40 * len(speeds), seed=1)
    dealt = deal_step(lengths, ranks_of(speeds))
    assert rows_of(dealt) == list(range(len(lengths)))
    assert dealt.ideal_seconds == pytest.approx(sum(lengths) / sum(speeds))
    assert 1 - 1e-9 <= dealt.ratio < 1.02
    shares = [tokens / sum(lengths) for tokens in dealt.tokens]
    assert shares == pytest.approx(token_shares(ranks_of(speeds), 1), rel=0.1)


def test_a_deal_by_speed_is_faster_than_an_even_one() -> None:
    lengths, ranks = log_normal(256, seed=2), ranks_of([10.0, 10.0, 1.0, 1.0])
    balanced, even = deal_step(lengths, ranks), deal_step(lengths, ranks, even=True)
    assert rows_of(balanced) == rows_of(even)
    # Evenly, a slow rank has a quarter of the tokens and 1/22 of the speed.
    assert even.ratio / balanced.ratio == pytest.approx(22 / 4, rel=0.03)


def test_what_a_step_takes_beside_its_tokens_counts() -> None:
    """A rank at a quarter of the speed takes 0.25 s for nothing: with 20 rows of 1,000 less, both end together."""
    fast, slow = ranks_of([400.0, 100.0])
    ranks = [fast, slow.model_copy(update={"fixed_seconds": 0.25})]
    assert token_shares(ranks, 1000) == pytest.approx([0.82, 0.18])
    dealt = deal_step([1] * 1000, ranks)
    assert dealt.tokens == (820, 180) and dealt.seconds == pytest.approx((2.05, 2.05))
    assert deal_step([1] * 1000, ranks_of([400.0, 100.0])).tokens == (800, 200)


def test_a_rank_that_takes_longer_for_nothing_than_others_for_all_has_one_row() -> None:
    fast, slow = ranks_of([400.0, 100.0])
    ranks = [fast, slow.model_copy(update={"fixed_seconds": 5.0})]
    assert token_shares(ranks, 1000) == pytest.approx([1, 0])
    assert deal_step([1] * 1000, ranks).tokens == (999, 1)


@pytest.mark.parametrize(("seconds", "speed", "fixed"), [(3.0, 100.0, 1.0), (2.0, 100.0, 0.0), (1.0, 200.0, 0.0)])
def test_a_rank_takes_what_was_measured_for_as_many_tokens(seconds: float, speed: float, fixed: float) -> None:
    """Passes of 200 tokens at 100 a second leave a second of three; where they leave less than none, it is faster."""
    rank = RankSpeed.of_work("rank 0", 4096, tokens=200, seconds=seconds, speed=100.0)
    assert (rank.tokens_a_second, rank.fixed_seconds) == pytest.approx((speed, fixed))


def test_the_same_rows_are_dealt_in_the_same_way() -> None:
    lengths, ranks = log_normal(100, seed=3), ranks_of([3.0, 2.0, 1.0])
    assert deal_step(lengths, ranks) == deal_step(lengths, ranks)


def test_groups_stay_in_one_micro_batch_within_memory() -> None:
    lengths, ranks = log_normal(120, seed=4), ranks_of([5.0, 3.0, 1.0], tokens=9000)
    groups = [row % 30 for row in range(120)]
    dealt = deal_step(lengths, ranks, groups)
    micro_batches = [micro_batch for rank in dealt.micro_batches for micro_batch in rank]
    assert rows_of(dealt) == list(range(120))
    assert Counter(group for each in micro_batches for group in {groups[row] for row in each}) == dict.fromkeys(
        groups, 1
    )
    assert all(sum(lengths[row] for row in each) <= 9000 for each in micro_batches)


def test_a_rank_with_less_memory_has_more_micro_batches_of_the_same_tokens() -> None:
    ranks = [
        RankSpeed(name="large", tokens_a_second=1.0, most_tokens=800),
        RankSpeed(name="small", tokens_a_second=1.0, most_tokens=100),
    ]
    dealt = deal_step([100] * 16, ranks)
    assert dealt.tokens == (800, 800)
    assert [len(rank) for rank in dealt.micro_batches] == [1, 8]


def test_a_rank_far_too_slow_still_has_a_row() -> None:
    dealt = deal_step([100, 50, 60], ranks_of([1000.0, 0.001]))
    assert dealt.tokens == (160, 50)


def test_the_ratio_to_the_bound_is_printed() -> None:
    assert str(deal_step([100, 100], ranks_of([1.0, 1.0]))) == (
        "slowest rank 100 s, 1.000 of the bound 100 s; 200 tokens on 2 ranks"
    )


def test_fewer_groups_than_ranks_are_refused() -> None:
    with pytest.raises(SettingsError, match="2 groups of rows in a step, and 3 ranks"):
        deal_step([5, 5, 5], ranks_of([1.0, 1.0, 1.0]), groups=[0, 0, 1])


def test_a_group_that_a_rank_cannot_hold_is_refused() -> None:
    with pytest.raises(SettingsError, match="rank 0 holds 100 tokens in a micro-batch, and a group of 2 rows has 120"):
        deal_step([60, 60, 10], ranks_of([1.0, 1.0], tokens=100), groups=[0, 0, 1])


NEED = Need(QWEN, "bf16", 2, 1)
"""Of a training on two ranks."""


def test_a_micro_batch_fills_the_memory() -> None:
    most = most_tokens("A10", NEED, 20 * GIB, 1024)
    assert make_plan(Need(QWEN, "bf16", 2, most), 20 * GIB).fits
    assert not make_plan(Need(QWEN, "bf16", 2, most + 1), 20 * GIB).fits
    assert most_tokens("A100", NEED, 40 * GIB, 1024) > most


def test_a_device_that_cannot_hold_the_model_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"T4: 2\.0 GiB cannot hold the model"):
        most_tokens("T4", NEED, 2 * GIB, 1024)


def test_a_device_that_cannot_hold_the_longest_row_is_refused() -> None:
    with pytest.raises(SettingsError, match="the longest row has 900,000"):
        most_tokens("T4", NEED, 12 * GIB, 900_000)
