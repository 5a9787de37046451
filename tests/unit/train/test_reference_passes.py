"""How the rows of a reference are divided into forward passes."""

import numpy as np
import pytest

from components.train.batches.budgeted_order import Limits
from components.train.methods.reference_log_probs import reference_passes

LENGTHS = np.array([5, 90, 10, 40, 40, 7, 3, 60])


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_every_row_is_read_once_and_similar_lengths_together(ranks: int) -> None:
    passes = reference_passes(LENGTHS, 2 * LENGTHS, Limits(tokens=160, rows=3), ranks)
    read = np.concatenate(passes)
    assert sorted(read) == list(range(8))
    assert list(LENGTHS[read]) == sorted(LENGTHS, reverse=True)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_no_process_reads_more_than_its_limits(ranks: int) -> None:
    limits = Limits(tokens=160, rows=3)
    for rows in reference_passes(LENGTHS, 2 * LENGTHS, limits, ranks):
        for rank in range(ranks):
            own = rows[rank::ranks]
            assert len(own) <= limits.rows
            assert len(own) <= 1 or (2 * LENGTHS[own]).sum() <= limits.tokens


def test_without_need_of_a_budget_passes_have_all_their_rows() -> None:
    passes = reference_passes(LENGTHS, LENGTHS, Limits(tokens=10_000, rows=3), 1)
    assert [len(rows) for rows in passes] == [3, 3, 2]


def test_a_row_beyond_the_budget_is_read_by_itself() -> None:
    passes = reference_passes(LENGTHS, LENGTHS, Limits(tokens=50, rows=8), 1)
    assert [list(LENGTHS[rows]) for rows in passes] == [[90], [60], [40], [40], [10, 7, 5, 3]]
