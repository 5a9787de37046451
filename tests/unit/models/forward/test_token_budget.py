"""Micro-batches of at most a number of tokens."""

import numpy as np
import pytest

from components.models.forward.token_budget import best_fit, micro_batches
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


def test_a_row_over_the_budget_is_refused_with_its_length() -> None:
    with pytest.raises(InputError, match="row 1 has 11 tokens, more than a micro-batch's budget of 10") as caught:
        best_fit([3, 11], 10)
    assert "at least 11" in caught.value.remedy


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
