"""How sure a difference is: its two-sided interval, and the lower bound of a non-inferiority test."""

import math
from statistics import NormalDist

from components.shared.rows import Comparison


def interval(item: Comparison, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a difference, by its standard error."""
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * item.standard_error
    return item.difference - reach, item.difference + reach


def lower_bound(item: Comparison, questions: int, alpha: float) -> float:
    """The one-sided lower bound of a difference, at the level 1 - alpha.

    1 / questions² is added to the variance, as half a question in each cell of the paired table does (Agresti and Min,
    Statistics in Medicine 2005, 24:729): equal answers to few questions are no proof of equal models.
    """
    error = math.sqrt(item.standard_error**2 + 1 / questions**2)
    return item.difference - NormalDist().inv_cdf(1 - alpha) * error
