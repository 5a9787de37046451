"""The order of problems: by the seed, without those that taught nothing in the epoch before."""

import numpy as np
import pytest

from components.train.rollouts.problem_order import Group, ProblemOrder


def order_of(problems: int = 5, batch: int = 2, *, leaves_out: bool = True) -> ProblemOrder:
    return ProblemOrder(problems, batch, epochs=3, seed=1, leaves_out=leaves_out)


def run_epoch(order: ProblemOrder, rewards: dict[int, tuple[float | None, float | None]]) -> list[int]:
    """Draw and note an epoch; a problem's groups have these rewards, others have both 0 and 1."""
    drawn: list[int] = []
    for _ in range(order.phases):
        problems = [int(one) for one in order.at(order.noted)]
        order.note([Group(one, *rewards.get(one, (0.0, 1.0))) for one in problems])
        drawn += problems
    return drawn


def test_each_problem_is_drawn_in_every_epoch_and_the_last_phase_is_filled_up() -> None:
    order = order_of()
    for _ in range(3):
        drawn = run_epoch(order, {})
        assert len(drawn) == 6
        assert set(drawn) == set(range(5))
    assert len({tuple(order.epoch(number)) for number in range(3)}) > 1


def test_without_anything_to_leave_out_it_is_the_planned_order() -> None:
    order = order_of()
    drawn = [run_epoch(order, {}) for _ in range(3)]
    assert np.array_equal(np.concatenate(drawn), order_of(leaves_out=False).planned())


@pytest.mark.parametrize("equal", [0.0, 1.0, 0.2])
def test_a_problem_with_equal_rewards_is_left_out_once_and_drawn_again(equal: float) -> None:
    order = order_of()
    assert 3 in run_epoch(order, {3: (equal, equal)})
    second = run_epoch(order, {})
    assert len(second) == 6
    assert set(second) == {0, 1, 2, 4}
    assert set(run_epoch(order, {})) == set(range(5))


def test_a_problem_is_kept_where_one_of_its_groups_differs_or_nothing_is_known() -> None:
    order = order_of(problems=2, batch=4)
    order.note([Group(0, 0.0, 0.0), Group(0, 0.0, 1.0), Group(1, None, None), Group(1, None, None)])
    assert order.left_out(1) == []


def test_where_all_problems_would_be_left_out_none_is() -> None:
    order = order_of()
    run_epoch(order, dict.fromkeys(range(5), (0.0, 0.0)))
    assert order.left_out(1) == list(range(5))
    assert set(run_epoch(order, {})) == set(range(5))


def test_all_problems_stay_where_the_settings_say_so() -> None:
    order = order_of(leaves_out=False)
    run_epoch(order, dict.fromkeys(range(3), (0.0, 0.0)))
    assert set(run_epoch(order, {})) == set(range(5))
