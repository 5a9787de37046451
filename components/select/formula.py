"""Named formulas that combine a response's scores into its total in [0, 1].

weighted/1, for perplexity ppl, safety s, quality q and check c (1 passed, 0 failed), with weights w and scale k:

    total = 0                                                          if s < safe_from
    total = (w_p * ppl ** (-1 / k) + w_q * q + w_c * c) / (w_p + w_q + w_c)    otherwise

A term whose score is missing is omitted from numerator and denominator; without any term the total is 0. As
ppl = exp(-m) for the mean log-probability m, the first term is exp(m / k): 1 for a response that the model is certain
of, 1/e at k nats. The paper (arXiv 2411.02939) names the three scores and leaves their combination open; here safety is
a gate, since quality does not compensate for harm, and the check has the largest weight, since it alone is objective.
"""

from collections.abc import Callable
from typing import Protocol

from components.shared.rows import Scores


class FormulaWeights(Protocol):
    """The settings that the formulas read."""

    @property
    def perplexity_weight(self) -> float: ...
    @property
    def quality_weight(self) -> float: ...
    @property
    def check_weight(self) -> float: ...
    @property
    def perplexity_scale(self) -> float: ...


def weighted(scores: Scores, weights: FormulaWeights, safe_from: float) -> float:
    """The total by weighted/1."""
    if not is_safe(scores, safe_from):
        return 0.0
    terms = [
        (weights.perplexity_weight, perplexity_term(scores.perplexity, weights.perplexity_scale)),
        (weights.quality_weight, scores.quality),
        (weights.check_weight, None if scores.checked is None else float(scores.checked)),
    ]
    present = [(weight, value) for weight, value in terms if value is not None]
    weights_sum = sum(weight for weight, _ in present)
    return round(sum(weight * value for weight, value in present) / weights_sum, 6) if weights_sum else 0.0


def perplexity_term(perplexity: float | None, scale: float) -> float | None:
    """A perplexity of at least 1 as a score in [0, 1]: ppl ** (-1 / scale)."""
    return None if perplexity is None else float(max(perplexity, 1.0) ** (-1 / scale))


def is_safe(scores: Scores, safe_from: float) -> bool:
    """Whether a response passes the safety gate; one without a safety score does."""
    return scores.safety is None or scores.safety >= safe_from


FORMULAS: dict[str, Callable[[Scores, FormulaWeights, float], float]] = {"weighted/1": weighted}
