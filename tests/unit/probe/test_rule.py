"""When a problem gets no further rollouts: exact cases, and simulated problems against the full procedure."""

import random
from typing import Any

import pytest
from pydantic import ValidationError
from scipy.stats import betabinom

from components.probe.rule import PRIOR, ProbeRule, agreement

PLAIN = ProbeRule()
POOLS = ProbeRule(tries=16, hard_at_most=0.2, easy_at_least=0.8)


def test_one_success_and_one_failure_are_mixed_for_good() -> None:
    assert agreement(PLAIN, 4, 1) == 1.0 and PLAIN.is_decided(4, 1)
    assert not PLAIN.is_decided(3, 1), "looks are between rounds only"


def test_unsolved_problems_are_drawn_to_the_end() -> None:
    assert [tries for tries in range(17) if PLAIN.is_decided(tries, 0)] == [16]
    assert PLAIN.is_decided(12, 1), "its first success decides it"


def test_all_pass_needs_the_full_tries() -> None:
    assert not PLAIN.is_decided(4, 4) and PLAIN.is_decided(8, 8)


@pytest.mark.parametrize(("tries", "successes"), [(4, 1), (4, 4), (8, 5), (12, 11)])
def test_the_chance_of_another_pool_is_scipys(tries: int, successes: int) -> None:
    left = POOLS.full_tries(tries, successes) - tries
    posterior = betabinom(left, successes + PRIOR, tries - successes + PRIOR)
    now = POOLS.pool(tries, successes)
    same = sum(posterior.pmf(more) for more in range(left + 1) if POOLS.pool(16, successes + more) == now)
    assert agreement(POOLS, tries, successes) == pytest.approx(same)


def test_with_confidence_1_only_what_cannot_change_stops() -> None:
    sure = POOLS.model_copy(update={"confidence": 1.0})
    for tries in (4, 8, 12):
        for successes in range(1, tries + 1):
            reachable = {sure.pool(16, successes + more) for more in range(17 - tries)}
            assert sure.is_decided(tries, successes) == (reachable == {sure.pool(tries, successes)})


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"tries": 6}, "multiple of round 4"),
        ({"tries": 20}, "must not be below tries 20"),
        ({"hard_at_most": 0.5, "easy_at_least": 0.5}, "must be below easy_at_least"),
        ({"confidence": 0.5}, "greater than 0.5"),
    ],
)
def test_rules_that_cannot_work_are_refused(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        ProbeRule.model_validate(wrong)


def uniform(draws: random.Random) -> float:
    return draws.random()


def extreme(draws: random.Random) -> float:
    """As of a small model on mixed data: most problems are nearly always or hardly ever solved."""
    return draws.betavariate(0.5, 0.5)


def simulated(rule: ProbeRule, prior: Any, problems: int = 20_000, seed: int = 1) -> tuple[float, float]:
    """The share of problems with the pool of the full procedure, and the share of its draws that were made.

    Both procedures see the same results of the same problem, in the same order.
    """
    draws, same, made, full = random.Random(seed), 0, 0, 0
    for _ in range(problems):
        rate = prior(draws)
        passed = [draws.random() < rate for _ in range(rule.zero_tries)]
        stopped = next(n for n in range(1, rule.zero_tries + 1) if rule.is_decided(n, sum(passed[:n])))
        complete = rule.tries if any(passed[: rule.tries]) else rule.zero_tries
        made, full = made + stopped, full + complete
        same += rule.pool(stopped, sum(passed[:stopped])) == rule.pool(complete, sum(passed[:complete]))
    return same / problems, made / full


@pytest.mark.parametrize(("rule", "prior"), [(PLAIN, uniform), (POOLS, uniform), (POOLS, extreme)])
def test_stopping_early_rarely_changes_a_pool_and_saves_draws(rule: ProbeRule, prior: Any) -> None:
    same, draws = simulated(rule, prior)
    assert same >= 0.98, f"{same:.4f} of the pools agree"
    assert draws <= 0.75, f"{draws:.4f} of the draws were made"


def test_where_all_is_decided_by_the_first_failure_nothing_is_ever_wrong() -> None:
    """Pools of all, some and none: stopping early gives exactly the pools of the full procedure."""
    for prior in (uniform, extreme):
        assert simulated(PLAIN, prior, 5_000)[0] == 1.0
