"""95 % intervals of scores and of their differences."""

import math
from statistics import NormalDist

from components.shared.rows import Comparison, Score

Z_95 = NormalDist().inv_cdf(0.975)
"""The two-sided 95 % quantile of the normal distribution."""


def wilson_interval(successes: float, tries: float, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a proportion (Wilson, J. Am. Stat. Assoc. 22, 1927); (0, 1) without any try.

    It stays within [0, 1] and keeps its coverage for few tries, and for rates near 0 and 1, where the normal interval
    has no width (Brown, Cai and DasGupta, Statistical Science 16, 2001).
    """
    if tries == 0:
        return 0.0, 1.0
    rate, shift = successes / tries, z * z / tries
    middle = (rate + shift / 2) / (1 + shift)
    half = z * math.sqrt(rate * (1 - rate) / tries + shift / (4 * tries)) / (1 + shift)
    # Rounding must not move the ends that are exact.
    low = 0.0 if successes == 0 else max(middle - half, 0.0)
    high = 1.0 if successes == tries else min(middle + half, 1.0)
    return low, high


def score_interval(score: Score) -> tuple[float, float]:
    """Wilson's interval of a mean of scores in [0, 1].

    Of 0/1 scores it is that of the share of right answers. Means of several samples and graded scores vary less or more
    than 0/1 scores do: they count as the independent 0/1 answers whose mean has the same standard error (the effective
    sample size of Korn and Graubard, Survey Methodology 24, 1998).
    """
    answers = _effective_answers(score)
    return wilson_interval(score.value * answers, answers)


def paired_interval(item: Comparison, z: float = Z_95) -> tuple[float, float]:
    """The normal interval of a paired difference, by its standard error."""
    reach = z * item.standard_error
    return item.difference - reach, item.difference + reach


def unpaired_interval(first: Score, second: Score) -> tuple[float, float]:
    """The interval of `first` minus `second` for independent scores: from Wilson's interval of each.

    Newcombe (Statistics in Medicine 17, 1998, 873, method 10); it stays within [-1, 1].
    """
    (low, high), (other_low, other_high) = score_interval(first), score_interval(second)
    difference = first.value - second.value
    below = math.hypot(first.value - low, other_high - second.value)
    above = math.hypot(high - first.value, second.value - other_low)
    return difference - below, difference + above


def _effective_answers(score: Score) -> float:
    """Independent 0/1 answers of the same mean and standard error; the questions where none differs from another."""
    if score.standard_error == 0 or not 0 < score.value < 1:
        return score.count
    return 1 + score.value * (1 - score.value) / score.standard_error**2
