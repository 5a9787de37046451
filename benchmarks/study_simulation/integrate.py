"""What the intervals cover for normal scores, by numerical integration: no simulation, so no error of it.

The mean of a table is independent of its mean squares, and that of the seeds is a multiple of chi-squared with S - 1
degrees of freedom. With some hundred questions the other two are as good as known. So the coverage is the mean, over
the quantiles of that chi-squared, of the probability that the mean is within the half-width of the truth.
"""

import math

import numpy as np

from components.analyse.statistics.interval import half_width
from components.analyse.statistics.variance import MeanVariance

QUESTIONS = 10_000
SHARES_OF_SEEDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
SHARES_OF_ANSWERS = (0.1, 0.3, 0.6, 0.9)


def normal_coverage(seeds: int, of_seeds: float, of_answers: float, alpha: float, points: int = 200) -> float:
    """The probability that the interval of a mean holds the truth.

    Args:
        seeds: S, at least 2.
        of_seeds: share of the mean's variance that comes from the seeds.
        of_answers: share of the rest that comes from the noise of single answers.
        alpha: level of the interval.
        points: quantiles of chi-squared.
    """
    from scipy.special import gammaincinv, ndtr

    of_questions = 1 - of_seeds
    noise = of_answers * of_questions
    levels = (np.arange(points) + 0.5) / points
    squares = (of_seeds + noise) * 2 * gammaincinv((seeds - 1) / 2, levels) / (seeds - 1)
    found = [MeanVariance(0.0, seeds, QUESTIONS, of_questions, max(0.0, s - noise), s) for s in squares.tolist()]
    return math.fsum(2 * float(ndtr(half_width(each, alpha))) - 1 for each in found) / points


def coverage_range(seeds: int, alpha: float) -> tuple[float, float]:
    """The lowest and the highest coverage over all shares, in per cent."""
    found = [
        100 * normal_coverage(seeds, of_seeds, of_answers, alpha)
        for of_seeds in SHARES_OF_SEEDS
        for of_answers in SHARES_OF_ANSWERS
    ]
    return round(min(found), 1), round(max(found), 1)
