"""The interval of a mean over seeds and questions, the p-value that belongs to it, and the power of both.

A percentile bootstrap is no good guide over three to five seeds (bootstrap.py has the reasons, both ways). So the
reported interval is analytic, from the parts of the variance (variance.py), the wider of two that are each too narrow
where the other one is right:

- Satterthwaite: the standard error times the t quantile of the degrees of freedom of both parts together. Too narrow
  (92 %) where three seeds' noise is nearly all of the variance.
- MOVER (Zou and Donner 2008, doi 10.1002/sim.3095): sqrt(t(Q - 1)^2 var_questions + t(S - 1)^2 var_seeds). Exact where
  either part is all, too narrow where the noise of single answers hides that of the seeds.

For normal scores the wider one covers 92.7 to 96.9 % with 3 seeds, whatever their share of the variance, and 94.3 to
96.9 % with 5: most where seeds do not differ, since a negative estimate of their part counts as 0. With 2 seeds it is
87 % at the worst. `benchmarks/study_simulation` computes that, and measures it on 0/1 scores. With one seed, both are
the t interval over questions.
"""

import math

from components.analyse.statistics.variance import MeanVariance

Interval = tuple[float, float]
LEAST = 1e-100
"""The smallest p-value: below it, all are reported as this one."""


def half_width(found: MeanVariance, alpha: float) -> float:
    """Half the width of the interval of a mean.

    Args:
        found: the mean's variance in parts.
        alpha: share of studies whose interval may miss the true mean, such as 0.05.
    """
    return max(_satterthwaite(found, alpha), _mover(found, alpha))


def interval(found: MeanVariance, alpha: float) -> Interval:
    """The interval of a mean, low and high."""
    half = half_width(found, alpha)
    return found.mean - half, found.mean + half


def p_value(found: MeanVariance) -> float:
    """Two-sided p-value of the hypothesis that the mean is 0: the alpha whose interval just reaches 0.

    The hypothesis is about the arms: over all seeds and all questions, the mean difference is 0.
    """
    distance = abs(found.mean)
    if distance == 0.0:
        return 1.0
    if half_width(found, LEAST) < distance:
        return LEAST
    low, high = math.log(LEAST), 0.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if half_width(found, math.exp(middle)) > distance else (low, middle)
    return math.exp(high)


def smallest_difference(found: MeanVariance, alpha: float, power: float) -> float:
    """The smallest true difference that a test at level alpha finds with a probability of `power`.

    Of a t test with the standard error and degrees of freedom that were found (Cohen, *Statistical Power Analysis*,
    1988, chapter 2): it depends on the variance of the difference, never on the difference that was found.

    Args:
        found: the variance of the mean difference.
        alpha: level of the two-sided test; divided by the size of a family for Holm's first step.
        power: such as 0.8.

    Returns:
        In the unit of the scores; 0 where the differences do not vary.
    """
    # Beyond the half-width that the difference must exceed, the estimate falls short with probability 1 - power.
    return half_width(found, alpha) + _quantile(2 * (1 - power), found.degrees) * found.standard_error


def _satterthwaite(found: MeanVariance, alpha: float) -> float:
    return _quantile(alpha, found.degrees) * found.standard_error


def _mover(found: MeanVariance, alpha: float) -> float:
    of_questions = _quantile(alpha, found.questions - 1) ** 2 * found.of_questions
    if found.of_seeds <= 0.0:
        return math.sqrt(of_questions)
    return math.sqrt(of_questions + _quantile(alpha, found.seeds - 1) ** 2 * found.of_seeds)


def _quantile(alpha: float, degrees: float) -> float:
    """The t quantile that leaves alpha / 2 on each side."""
    from scipy.special import stdtrit

    return -float(stdtrit(degrees, alpha / 2))
