"""Means of scores, with their standard errors."""

import math
from collections.abc import Sequence

from components.shared.rows import Score


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return math.fsum(values) / len(values)


def standard_error(values: Sequence[float]) -> float:
    """Standard error of the mean of independent values: s / sqrt(n), s the sample's standard deviation (n - 1).

    For 0/1 scores that is sqrt(p (1 - p) / (n - 1)), as in lm-evaluation-harness. 0 for a single value.
    """
    count = len(values)
    if count < 2:
        return 0.0
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (count - 1) / count)


def score_values(name: str, metric: str, values: Sequence[float]) -> Score:
    """The score of a benchmark, or of a part of it, from the scores of its questions."""
    return Score(
        benchmark=name, metric=metric, value=mean(values), standard_error=standard_error(values), count=len(values)
    )
