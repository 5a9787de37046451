"""The power of a study: the smallest true difference that its questions and seeds would show.

Of a t test with the standard error and degrees of freedom that were found (Cohen, *Statistical Power Analysis*, 1988,
chapter 2). It is computed from the variance of the difference, never from the difference that was found.
"""

from components.analyse.statistics.interval import half_width
from components.analyse.statistics.variance import MeanVariance


def smallest_difference(found: MeanVariance, alpha: float, power: float) -> float:
    """The smallest true difference that a test at level alpha finds with a probability of `power`.

    Args:
        found: the variance of the mean difference.
        alpha: level of the two-sided test; divided by the size of a family for its first step.
        power: such as 0.8.

    Returns:
        In the unit of the scores; 0 where the differences do not vary.
    """
    from scipy.special import stdtrit

    # Beyond the half-width that the difference must exceed, the estimate falls short with probability 1 - power.
    return half_width(found, alpha) + float(stdtrit(found.degrees, power)) * found.standard_error
