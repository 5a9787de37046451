"""The rows of each rank's micro-batches where ranks differ in speed and memory."""

from itertools import chain

import numpy as np
import pytest
from accelerate.data_loader import SkipBatchSampler

from components.shared.errors import SettingsError
from components.train.balance.shares import MOST_TOKENS, RankSpeed
from components.train.batches.balanced_order import BalancedOrder, divide_more
from components.train.batches.budgeted_order import Limits, StepRows
from components.train.batches.order import shuffled_epochs
from components.train.batches.split import Split
from components.train.ranks import Ranks

POSITIONS = np.random.default_rng(0).lognormal(4, 0.8, 200).clip(5, 600).astype(int)
FREE = StepRows(shuffled_epochs(POSITIONS, 2, 1, Split(1, 40, 1)), POSITIONS, 40)
GROUPED = StepRows(FREE.order, POSITIONS, 40, 4)


def orders(
    rows: StepRows, speeds: tuple[float, ...], budgets: tuple[int, ...], most: int = 8, *, equally_many: bool = False
) -> list[BalancedOrder]:
    """The order of each rank."""
    found = [
        BalancedOrder(rows, Limits(budget, most), Ranks(rank, len(speeds), rank), equally_many=equally_many)
        for rank, budget in enumerate(budgets)
    ]
    ranks = [
        RankSpeed(name=f"rank {rank}", tokens_a_second=speed, most_tokens=budget)
        for rank, (speed, budget) in enumerate(zip(speeds, budgets, strict=True))
    ]
    for order in found:
        order.adopt(ranks)
    return found


def by_step(order: BalancedOrder) -> list[list[list[int]]]:
    """A rank's micro-batches of each step, as its sampler gives them, without empty places."""
    taken = list(order)
    assert len(taken) == len(order)
    steps = [taken[place : place + order.places] for place in range(0, len(taken), order.places)]
    return [[batch for batch in step if batch] for step in steps]


@pytest.mark.parametrize("equally_many", [False, True])
@pytest.mark.parametrize("rows", [FREE, GROUPED], ids=["rows", "groups"])
@pytest.mark.parametrize(
    ("speeds", "budgets"),
    [((1, 0.5), (900, 900)), ((1, 0.25), (2000, 900)), ((8, 4, 1), (3000, 900, 700)), ((1, 1), (MOST_TOKENS,) * 2)],
)
def test_steps_keep_their_rows_and_ranks_stay_within_their_budgets(
    rows: StepRows, speeds: tuple[float, ...], budgets: tuple[int, ...], equally_many: bool
) -> None:
    taken = [by_step(order) for order in orders(rows, speeds, budgets, equally_many=equally_many)]
    loads = np.zeros(len(speeds))
    groups = {frozenset(group.tolist()) for group in rows.order.reshape(-1, rows.together)}
    for step in range(rows.steps):
        dealt = [row for mine in taken for batch in mine[step] for row in batch]
        assert sorted(dealt) == sorted(rows.order[step * 40 : (step + 1) * 40])
        for rank, (mine, budget) in enumerate(zip(taken, budgets, strict=True)):
            loads[rank] += POSITIONS[[row for batch in mine[step] for row in batch]].sum()
            for batch in mine[step]:
                assert len(batch) <= 8
                assert len(batch) == rows.together or POSITIONS[batch].sum() <= budget
                parts = [batch[begin : begin + rows.together] for begin in range(0, len(batch), rows.together)]
                assert {frozenset(part) for part in parts} <= groups
    assert loads / loads.sum() == pytest.approx(np.array(speeds) / sum(speeds), abs=0.03)


def test_ranks_pass_equally_often_as_far_as_they_have_rows() -> None:
    fast, slow = orders(FREE, (1, 0.25), (300, 300), equally_many=True)
    alone, _ = orders(FREE, (1, 0.25), (300, 300))
    for step in range(FREE.steps):
        passes = fast.divided(step)
        assert len(passes) == len(alone.divided(step)), "the rank with the most passes makes no more of them"
        rows = [row for batch in slow.divided(step) for row in batch]
        assert len(slow.divided(step)) == min(len(passes), len(rows))


def test_new_speeds_count_from_the_next_step_that_is_reached() -> None:
    order, _ = orders(FREE, (1, 1), (MOST_TOKENS,) * 2)
    sampler = iter(order)
    first = [next(sampler) for _ in range(order.places)]
    even, load = sum(map(len, first)), order.load
    order.adopt(
        [RankSpeed(name=str(rank), tokens_a_second=speed, most_tokens=MOST_TOKENS) for rank, speed in ((0, 9), (1, 1))]
    )
    second = [next(sampler) for _ in range(order.places)]
    assert sum(map(len, second)) > 1.3 * even and order.load > 1.3 * load


def test_a_training_continues_with_the_rows_of_the_next_step() -> None:
    order, _ = orders(FREE, (1, 0.5), (300, 300))
    batches = list(order)
    assert all(batches[place] for place in range(order.places - 1, len(batches), order.places)), "a step ends with rows"
    assert list(SkipBatchSampler(order, skip_batches=3 * order.places)) == batches[3 * order.places :]


def test_all_ranks_measure_the_same_rows_within_their_budgets() -> None:
    one, other = orders(FREE, (1, 1), (2000, 400))
    assert sorted(chain.from_iterable(one.sample())) == sorted(chain.from_iterable(other.sample()))
    assert len(one.sample()) < len(other.sample())


def test_fewer_groups_than_ranks_are_refused() -> None:
    with pytest.raises(SettingsError, match="10 groups of 4 rows in a step, and 11 ranks"):
        orders(GROUPED, (1.0,) * 11, (900,) * 11)


def test_a_budget_is_reported_where_there_is_one() -> None:
    order, _ = orders(FREE, (1, 1), (150, 150))
    assert order.counts == {"micro_batch_tokens": 150, "rows_over_budget": int((POSITIONS > 150).sum())}
    order, _ = orders(FREE, (1, 1), (MOST_TOKENS,) * 2)
    assert order.counts == {} and order.notes() == []


@pytest.mark.parametrize(
    ("number", "expected"), [(1, [[0, 1, 2]]), (2, [[0], [1, 2]]), (3, [[0], [1], [2]]), (9, [[0], [1], [2]])]
)
def test_micro_batches_are_divided_down_to_one_group(number: int, expected: list[list[int]]) -> None:
    assert divide_more([[0, 1, 2]], np.array([9, 5, 2]), number) == expected
