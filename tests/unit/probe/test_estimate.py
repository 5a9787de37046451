"""pass@k of problems that stop early: unbiased at every pass rate, by summing over all that can happen."""

from collections.abc import Callable

import pytest

from components.probe.estimate import pass_at_stopped
from components.probe.rule import ProbeRule
from components.shared.pass_rate import pass_at

RULES = [
    ProbeRule(),
    ProbeRule(tries=16, hard_at_most=0.2, easy_at_least=0.8),
    ProbeRule(round=2, tries=4, zero_tries=8, confidence=0.8),
]


def expectation(rule: ProbeRule, rate: float, value: Callable[[int, int], float]) -> float:
    """Of a value at the point where the rule stops a problem with this pass rate, by following every sequence."""

    def follow(tries: int, successes: int) -> float:
        if rule.is_decided(tries, successes):
            return value(tries, successes)
        return rate * follow(tries + 1, successes + 1) + (1 - rate) * follow(tries + 1, successes)

    return follow(0, 0)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("k", [1, 4, 8])
def test_the_estimate_has_no_bias(rule: ProbeRule, rate: float, k: int) -> None:
    found = expectation(rule, rate, lambda tries, successes: pass_at_stopped(k, rule, tries, successes))
    assert found == pytest.approx(1 - (1 - rate) ** k, abs=1e-9)


def test_the_share_of_successes_would_have_a_bias() -> None:
    naive = expectation(ProbeRule(), 0.1, lambda tries, successes: successes / tries)
    assert naive == pytest.approx(0.154, abs=5e-4), "which is why the estimate counts paths"


@pytest.mark.parametrize("k", [1, 3, 8])
def test_without_early_stops_it_is_the_usual_estimator(k: int) -> None:
    fixed = ProbeRule(round=8, tries=8, zero_tries=8)
    for successes in range(9):
        assert pass_at_stopped(k, fixed, 8, successes) == pytest.approx(pass_at(k, 8, successes))
