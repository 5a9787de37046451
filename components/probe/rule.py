"""How many rollouts a problem gets: in rounds, until its pool is decided.

Three pools: `hard`, `mixed` and `easy`, by the share of successes. The full procedure draws `tries` rollouts, and
`zero_tries` where none of those succeeds: at a pass rate of 0.1, "0 of 8" still happens with 43 %. After each round a
problem may stop early, by predictive probability (Lee and Liu, "A predictive probability design for phase II cancer
clinical trials", Clinical Trials 5, 2008): when the chance that the full procedure would put it into another pool is
small. A problem without any success never stops early.
"""

import functools
import math
from typing import Self

from pydantic import Field, model_validator

from components.shared.pools import Pool, PoolThresholds

PRIOR = 0.5
"""Both parameters of the Beta prior of a pass rate: Jeffreys' prior of a proportion."""


class ProbeRule(PoolThresholds):
    """The rule, with the thresholds of the pools."""

    round: int = Field(4, ge=1, description="rollouts between two looks at a problem")
    tries: int = Field(
        8, ge=1, description="rollouts of a problem that is not decided earlier; 8 is the group of ReLIFT (2506.07527)"
    )
    zero_tries: int = Field(
        16, ge=1, description="rollouts of a problem until it counts as never solved: 0 of 16 at rate 0.1 has 18 %"
    )
    confidence: float = Field(
        0.9,
        gt=0.5,
        le=1,
        description="stop early when the full procedure gives the same pool with this probability; 1: only where no "
        "outcome of the rollouts that are left could change it",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("tries", "zero_tries"):
            if getattr(self, name) % self.round:
                raise ValueError(f"{name} {getattr(self, name)} must be a multiple of round {self.round}")
        if self.zero_tries < self.tries:
            raise ValueError(f"zero_tries {self.zero_tries} must not be below tries {self.tries}")
        return self

    def pool(self, tries: int, successes: int) -> Pool:
        """The pool of a problem with so many successes in a positive number of tries."""
        return self.pool_at(successes / tries)

    def full_tries(self, tries: int, successes: int) -> int:
        """How many tries the full procedure makes of a problem that has come so far."""
        return self.zero_tries if successes == 0 or tries > self.tries else self.tries

    def is_decided(self, tries: int, successes: int) -> bool:
        """Whether a problem gets no further rollouts."""
        if tries >= self.full_tries(tries, successes):
            return True
        at_a_look = tries > 0 and tries % self.round == 0
        return at_a_look and successes > 0 and agreement(self, tries, successes) >= self.confidence


@functools.lru_cache(maxsize=4096)
def agreement(rule: ProbeRule, tries: int, successes: int) -> float:
    """The probability that the full procedure puts a problem into the pool in which it is now.

    Successes in the tries that are left have a beta-binomial distribution, by the Beta posterior of the pass rate.
    Exactly 1 where none of their outcomes leads to another pool.
    """
    now, full = rule.pool(tries, successes), rule.full_tries(tries, successes)
    left = full - tries
    other = [more for more in range(left + 1) if rule.pool(full, successes + more) != now]
    alpha, beta = successes + PRIOR, tries - successes + PRIOR
    return 1.0 - math.fsum(_beta_binomial(more, left, alpha, beta) for more in other)


def _beta_binomial(count: int, tries: int, alpha: float, beta: float) -> float:
    """The probability of so many successes in tries whose rate has the distribution Beta(alpha, beta)."""
    log = _log_beta(count + alpha, tries - count + beta) - _log_beta(alpha, beta)
    return math.comb(tries, count) * math.exp(log)


def _log_beta(alpha: float, beta: float) -> float:
    return math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta)
