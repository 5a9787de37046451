"""The exact test of paired differences by question: a permutation test that flips signs (Fisher 1935).

Its hypothesis is about these trained models: on each question it is as likely that one arm gained a sum of points over
the other as that it lost the same sum. A question's differences of all seeds are one sum with one sign, since seeds
repeat the questions: flipping cells one by one would count a question S times. With one seed and 0/1 scores it is the
exact McNemar test.

What it cannot see is the noise of training. Flipping the signs of seeds would, but S seeds have 2^S ways: below six
seeds no p-value under 0.05 exists. So a study judges by the larger of this p-value and that of interval.py, whose
hypothesis is about the arms over all seeds and questions.
"""

import numpy as np
from numpy.typing import NDArray

from components.analyse.statistics.variance import Table
from components.shared.paired_tests import flip_signs

LARGEST_DENOMINATOR = 64
MOST_SUMS = 2_000_000
"""Sums whose probabilities are held at once: 16 MB."""
NEAR = 1e-9


def sign_flip_test(table: Table, resamples: int, seed: int) -> float:
    """Two-sided p-value of the mean difference.

    Exact where the sums are multiples of a fraction (0/1 scores are), by the distribution of all 2^Q signed sums; for
    other scores `resamples` sign patterns are drawn, and the observed one counts as a draw.

    Args:
        table: differences, shape (seeds, questions).
        resamples: patterns that are drawn where the test is not exact.
        seed: of the draws.
    """
    sums = table.sum(axis=0)
    steps = as_multiples(sums)
    if steps is None:
        return flip_signs(sums.tolist(), resamples, seed)
    return exact_p_value(steps)


def as_multiples(sums: np.ndarray) -> NDArray[np.int64] | None:
    """The sums as multiples of the largest fraction 1/k that fits all, k up to 64; None where none fits."""
    for denominator in range(1, LARGEST_DENOMINATOR + 1):
        scaled = sums * denominator
        steps = np.rint(scaled)
        if np.abs(scaled - steps).max(initial=0.0) < NEAR:
            return steps.astype(np.int64) if np.abs(steps).sum() <= MOST_SUMS else None
    return None


def exact_p_value(steps: NDArray[np.int64]) -> float:
    """The probability, over all sign patterns, of a sum at least as far from 0 as the observed one.

    The distribution of the signed sum is the convolution of those of single values, and c equal values v have a
    binomial one on -cv, -cv + 2v, …, cv: for the few values that scores have, all 2^Q patterns are few convolutions.
    """
    probabilities: np.ndarray = np.ones(1)
    for value, count in zip(*np.unique(np.abs(steps[steps != 0]), return_counts=True), strict=True):
        # In steps of 2 v from the lowest sum, which is -c v.
        spread = np.zeros(int(value) * int(count) + 1)
        spread[:: int(value)] = _binomial(int(count))
        probabilities = np.convolve(probabilities, spread)
    reach = len(probabilities) - 1
    sums = 2 * np.arange(len(probabilities)) - reach
    return float(min(1.0, probabilities[np.abs(sums) >= abs(int(steps.sum()))].sum()))


def _binomial(count: int) -> np.ndarray:
    """Probabilities of 0 to `count` heads in as many tosses."""
    from scipy.special import gammaln

    heads = np.arange(count + 1)
    ways = gammaln(count + 1) - gammaln(heads + 1) - gammaln(count - heads + 1)
    probabilities: np.ndarray = np.exp(ways - count * np.log(2))
    return probabilities
