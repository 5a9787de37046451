"""The rows of each rank's micro-batches under a budget of positions."""

import numpy as np
import pytest
from accelerate.data_loader import SkipBatchSampler

from components.train.batches.budgeted_order import BudgetedOrder, Limits, StepRows
from components.train.batches.order import dealt, shuffled, shuffled_epochs
from components.train.batches.split import Split
from components.train.ranks import Ranks

DRAW = np.random.default_rng(0)
POSITIONS = DRAW.lognormal(4, 0.8, 100).clip(5, 600).astype(int)
MANY = 1_000_000


def free(global_batch: int = 16) -> StepRows:
    """Two epochs of rows that are by themselves."""
    return StepRows(shuffled_epochs(POSITIONS, 2, 1, Split(1, global_batch, 1)), POSITIONS, global_batch)


def grouped(ranks: int, kl_batch: int = 8) -> StepRows:
    """Two epochs of KTO's groups, as its rows are dealt to so many ranks."""
    order = shuffled(100, 32, seed=1, epoch=0)
    positions = POSITIONS[order]
    places = dealt(np.arange(len(order)), positions, Split(ranks, kl_batch // ranks, 32 // kl_batch), kl_batch)
    return StepRows(np.tile(places, 2), positions, 32, kl_batch)


def all_ranks(rows: StepRows, limits: Limits, ranks: int) -> list[list[list[list[int]]]]:
    """By step and rank the micro-batches that the samplers of all ranks give, without their empty places."""
    taken = [list(BudgetedOrder(rows, limits, Ranks(rank, ranks, rank))) for rank in range(ranks)]
    places = rows.global_batch // ranks
    return [
        [[batch for batch in mine[step * places : (step + 1) * places] if batch] for mine in taken]
        for step in range(rows.steps)
    ]


@pytest.mark.parametrize(
    ("positions", "tokens", "rows", "ranks", "expected"),
    [
        ([4, 4, 4, 4], 8, 8, 1, [[[0, 1], [2, 3]]]),
        ([4, 4, 4, 4], 8, 1, 1, [[[0], [1], [2], [3]]]),
        ([4, 4, 4, 4], MANY, 8, 1, [[[0, 1, 2, 3]]]),
        ([4, 4, 4, 4], MANY, 8, 2, [[[0, 2]], [[1, 3]]]),
        ([9, 1, 1, 1], 8, 8, 1, [[[0], [1, 2, 3]]]),
        ([9, 1, 1, 1], 8, 8, 2, [[[0]], [[1, 2, 3]]]),
        ([9, 9, 9, 1], 8, 8, 2, [[[0], [2]], [[1], [3]]]),
        ([3, 3, 3, 3], 1, 8, 4, [[[0]], [[1]], [[2]], [[3]]]),
    ],
)
def test_one_step(positions: list[int], tokens: int, rows: int, ranks: int, expected: object) -> None:
    step = StepRows(np.arange(len(positions)), np.array(positions), len(positions))
    assert step.micro_batches(0, Limits(tokens, rows), ranks) == expected


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize("limits", [Limits(1, 8), Limits(200, 8), Limits(400, 3), Limits(MANY, 8), Limits(MANY, 64)])
def test_neither_limit_is_exceeded_and_steps_keep_their_rows(limits: Limits, ranks: int) -> None:
    rows = free()
    for step, of_ranks in enumerate(all_ranks(rows, limits, ranks)):
        assert len({len(batches) for batches in of_ranks}) == 1, "all ranks make the same number of passes"
        batches = [batch for mine in of_ranks for batch in mine]
        assert sorted(row for batch in batches for row in batch) == sorted(rows.order[step * 16 : (step + 1) * 16])
        for batch in batches:
            assert len(batch) <= limits.rows
            assert len(batch) == 1 or POSITIONS[batch].sum() <= limits.tokens


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("limits", [Limits(1, 1), Limits(500, 8), Limits(900, 8), Limits(MANY, 16)])
def test_groups_stay_whole_whatever_the_budget(limits: Limits, ranks: int) -> None:
    rows, share = grouped(ranks), 8 // ranks
    groups = {frozenset(group.tolist()) for group in rows.order.reshape(-1, 8)}
    for of_ranks in all_ranks(rows, limits, ranks):
        for at_once in zip(*of_ranks, strict=True):
            several = {len(batch) for batch in at_once}
            assert len(several) == 1 and not several.pop() % share, "equal shares of each group"
            for begin in range(0, len(at_once[0]), share):
                assert frozenset(row for batch in at_once for row in batch[begin : begin + share]) in groups
            if len(at_once[0]) > share:
                assert all(len(batch) <= limits.rows for batch in at_once)
                assert all(rows.positions[batch].sum() <= limits.tokens for batch in at_once)


def test_a_large_budget_reads_several_groups_together() -> None:
    assert [len(batch) for batch in all_ranks(grouped(2), Limits(MANY, 16), 2)[0][0]] == [16]
    assert [len(batch) for batch in all_ranks(grouped(2), Limits(MANY, 8), 2)[0][0]] == [8, 8]
    assert [len(batch) for batch in all_ranks(grouped(2), Limits(1, 16), 2)[0][0]] == [4] * 4


def test_a_training_continues_with_the_rows_of_the_next_step() -> None:
    order = BudgetedOrder(free(), Limits(300, 8), Ranks(1, 2, 1))
    batches = list(order)
    assert len(batches) == len(order) == order.rows.steps * order.places
    assert all(batches[place] for place in range(order.places - 1, len(batches), order.places)), "a step ends with rows"
    assert list(SkipBatchSampler(order, skip_batches=3 * order.places)) == batches[3 * order.places :]


def test_rows_over_the_budget_are_counted_once() -> None:
    order = BudgetedOrder(free(), Limits(150, 8), Ranks(0, 2, 0))
    over = int((POSITIONS > 150).sum())
    assert over > 0
    assert order.counts == {"micro_batch_tokens": 150, "rows_over_budget": over}
    (line,) = order.notes()
    exceeded = f"micro_batch_tokens 150 is exceeded by {over} rows, each a micro-batch of its own"
    assert line == f"{exceeded}: at most {POSITIONS.max()} positions"
    assert BudgetedOrder(free(), Limits(MANY, 8), Ranks(0, 2, 0)).notes() == []


def test_groups_over_the_budget_are_counted_by_a_processs_share() -> None:
    rows = grouped(2)
    order = BudgetedOrder(rows, Limits(int(np.median(rows.undivided(2))), 8), Ranks(0, 2, 0))
    groups = len(POSITIONS) // 8 + 4
    assert len(rows.undivided(2)) == groups
    assert 0 < order.counts["groups_over_budget"] < groups
    assert "groups of 8 rows, which stay whole" in order.notes()[0]
