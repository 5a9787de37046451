"""pass@k without bias, although problems stop early.

The share of successes of a problem that stopped early is biased: an early success ends the drawing, an early failure
does not. The unbiased estimator of a binomial sampling plan counts paths (Girshick, Mosteller and Savage, "Unbiased
estimates for certain binomial sampling problems with applications", Annals of Mathematical Statistics 17, 1946). A
problem's draws are a path from (0 tries, 0 successes) to the point where the plan stops it, and all paths to one point
are equally likely. The share of those that begin with k failures therefore estimates (1 - p)^k without bias, and 1
minus that is pass@k. For a fixed number of tries this is the estimator of Chen et al. (components/shared/pass_rate.py).
"""

import functools
from collections import Counter

from components.probe.rule import ProbeRule


def pass_at_stopped(k: int, rule: ProbeRule, tries: int, successes: int) -> float:
    """The probability that at least one of k tries succeeds, from the point where the rule stopped a problem.

    Args:
        k: at most `rule.zero_tries`.
        rule: of the probe.
        tries: of the problem; the rule stops at this point.
        successes: among them.
    """
    point = (tries, successes)
    return 1.0 - _paths(rule, k)[point] / _paths(rule, 0)[point]


@functools.lru_cache(maxsize=256)
def _paths(rule: ProbeRule, failures: int) -> Counter[tuple[int, int]]:
    """How many paths that begin with so many failures reach each point at which the rule stops.

    The rule never stops a problem without a success before `zero_tries`, so all of these beginnings occur.
    """
    ends: Counter[tuple[int, int]] = Counter()
    level = {0: 1}
    for tries in range(failures, rule.zero_tries + 1):
        going_on: Counter[int] = Counter()
        for successes, ways in level.items():
            if rule.is_decided(tries, successes):
                ends[tries, successes] += ways
            else:
                going_on[successes] += ways
                going_on[successes + 1] += ways
        level = going_on
    return ends
