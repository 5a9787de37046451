"""The Bayesian interval of a share of right answers, for benchmarks with few questions.

Below some 300 questions an interval by the standard error is too narrow, most of all near 0 and 1 (Bowyer, Aitchison
and Ivanova, "Don't use the CLT in LLM evals with fewer than a few hundred datapoints", arXiv 2503.01747): a Beta
posterior is not. Answers of several seeds to one question are not independent, so the posterior counts as many answers
as would, independently, give the mean the same interval: the effective sample size of Korn and Graubard (1998, Survey
Methodology 24, 193), adjusted for the degrees of freedom. The prior is Jeffreys', Beta(1/2, 1/2).
"""

from components.analyse.statistics.interval import Interval, half_width
from components.analyse.statistics.variance import MeanVariance

FEW_QUESTIONS = 300


def beta_interval(found: MeanVariance, alpha: float) -> Interval:
    """The central interval of the posterior of a mean of 0/1 scores.

    Args:
        found: the mean in [0, 1], with its variance.
        alpha: probability outside the interval, half on each side.
    """
    from scipy.special import betaincinv

    count = effective_answers(found, alpha)
    right, wrong = 0.5 + found.mean * count, 0.5 + (1 - found.mean) * count
    return float(betaincinv(right, wrong, alpha / 2)), float(betaincinv(right, wrong, 1 - alpha / 2))


def effective_answers(found: MeanVariance, alpha: float) -> float:
    """Independent answers whose mean has the same half-width; at most all, and the questions where none varies."""
    from scipy.special import ndtri

    half = half_width(found, alpha)
    if half == 0.0:
        return float(found.questions)
    independent = (float(ndtri(1 - alpha / 2)) / half) ** 2 * found.mean * (1 - found.mean)
    return min(independent, float(found.questions * found.seeds))
