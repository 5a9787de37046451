"""When shares no longer fit, and what a person reads of them."""

import pytest

from components.train.balance.record import GIB, recorded_shares
from components.train.balance.shares import RankSpeed, slowdown


def ranks_of(*speeds: float) -> list[RankSpeed]:
    return [RankSpeed(name=f"rank {rank}", tokens_a_second=speed, most_tokens=100) for rank, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("dealt_by", "now", "expected"),
    [((1, 1), (2, 2), 1), ((2, 1), (200, 100), 1), ((1, 1), (1, 0.5), 1.5), ((1, 0.5), (1, 1), 4 / 3)],
)
def test_how_much_longer_steps_take_than_they_could(
    dealt_by: tuple[float, ...], now: tuple[float, ...], expected: float
) -> None:
    """Two equal ranks of which one is halved: a step takes 1 / 0.5 of before, and 2 / 1.5 with new shares."""
    assert slowdown(ranks_of(*dealt_by), ranks_of(*now), 100) == pytest.approx(expected)


def test_fixed_time_counts_in_how_much_longer_steps_take() -> None:
    """100 tokens at 100 and 100 a second; of the halves, one takes 0.1 s more: 0.6 s, and 0.55 s with new shares."""
    now = [ranks_of(100)[0], ranks_of(100)[0].model_copy(update={"fixed_seconds": 0.1})]
    assert slowdown(ranks_of(100, 100), now, 100) == pytest.approx(0.6 / 0.55)
    told = str(recorded_shares(5, "changed", [(rank, GIB) for rank in now], 100))
    assert told.endswith("rank 0 55.0% (100 tokens/s), rank 0 45.0% (100 tokens/s, 100 ms fixed)")


def test_the_log_lists_few_ranks_and_the_extremes_of_many() -> None:
    few = str(recorded_shares(1, "measured", [(rank, GIB) for rank in ranks_of(3000, 1000)], 100))
    assert few == "shares by speed (measured) from step 1: rank 0 75.0% (3,000 tokens/s), rank 1 25.0% (1,000 tokens/s)"
    many = str(recorded_shares(21, "given", [(rank, GIB) for rank in ranks_of(*[1.0] * 30, 4.0, 0.5)], 100))
    assert many.endswith("from step 21: 32 ranks, from rank 31 1.4% (0.5), to rank 30 11.6% (4)")
