"""Micro-batches of at most a number of tokens."""

import numpy as np
import pytest

from components.models.forward.token_budget import best_fit, micro_batches, spread
from components.shared.errors import InputError

LENGTHS = np.random.default_rng(0).lognormal(5, 0.8, 512).clip(8, 1000).astype(int).tolist()


def test_every_row_is_in_one_micro_batch_within_the_budget() -> None:
    filled = best_fit(LENGTHS, 2048)
    assert sorted(row for rows in filled for row in rows) == list(range(512))
    assert all(sum(LENGTHS[row] for row in rows) <= 2048 for rows in filled)


def test_little_room_is_left() -> None:
    filled = best_fit(LENGTHS, 2048)
    assert len(filled) == -(-sum(LENGTHS) // 2048)
    # Where rows are about half a budget, best fit still leaves less than a tenth.
    assert sum(LENGTHS) / (len(best_fit(LENGTHS, 1000)) * 1000) > 0.9


def test_a_row_goes_where_it_leaves_the_least_room() -> None:
    assert best_fit([6, 4, 5, 3, 2], 10) == [[0, 1], [2, 3, 4]]
    assert best_fit([5, 5, 5, 5], 10) == [[0, 1], [2, 3]]


def test_a_row_over_the_budget_is_a_micro_batch_of_its_own() -> None:
    assert best_fit([3, 11, 4, 12], 10) == [[3], [1], [0, 2]]
    assert micro_batches([3, 11, 4, 12], 10, 2) == [[[3], [2]], [[1], [0]]]


def test_rows_are_limited_too() -> None:
    assert best_fit([1] * 7, 100, most=3) == [[0, 1, 2], [3, 4, 5], [6]]
    assert best_fit([9, 1, 1, 1, 1], 10, most=2) == [[0, 1], [2, 3], [4]]
    for ranks in (1, 2, 4):
        dealt = micro_batches(LENGTHS, 2048, ranks, most=5)
        assert len({len(batches) for batches in dealt}) == 1
        assert sorted(row for batches in dealt for rows in batches for row in rows) == list(range(512))
        assert max(len(rows) for batches in dealt for rows in batches) == 5
        assert max(sum(LENGTHS[row] for row in rows) for batches in dealt for rows in batches) <= 2048


def test_short_rows_fill_no_more_places_than_there_are() -> None:
    """Spread by length alone, the seven short rows would be together."""
    assert sorted(map(len, spread([100, 1, 1, 1, 1, 1, 1, 1], 2, most=4))) == [4, 4]


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_ranks_make_the_same_number_of_micro_batches(ranks: int) -> None:
    dealt = micro_batches(LENGTHS, 2048, ranks)
    assert len({len(batches) for batches in dealt}) == 1
    assert sorted(row for batches in dealt for rows in batches for row in rows) == list(range(512))
    assert all(rows and sum(LENGTHS[row] for row in rows) <= 2048 for batches in dealt for rows in batches)


def test_one_row_for_each_rank_is_enough() -> None:
    assert micro_batches([10, 10, 1, 1], 10, 4) == [[[0]], [[1]], [[2]], [[3]]]
    assert micro_batches([10, 10, 10, 1], 10, 2) == [[[0], [2]], [[1], [3]]]


def test_rows_that_ranks_cannot_share_are_refused() -> None:
    with pytest.raises(InputError, match="3 rows for 2 ranks"):
        micro_batches([1, 1, 1], 10, 2)
