"""Tests of paired differences, and the correction for many of them.

p-values are two-sided. For scores that are all 0 or 1: the exact McNemar test (McNemar 1947, doi 10.1007/BF02295996),
a binomial test on the questions that only one model got right. For other scores: a permutation test that flips the
signs of the paired differences (Fisher 1935; Dror et al. 2018, doi 10.18653/v1/P18-1128). Of several p-values, Holm's
step-down method (Holm 1979) bounds the probability of any false discovery.
"""

from collections.abc import Mapping, Sequence

BATCH = 1000
"""Permutations in memory at a time; 64-bit numbers, so a thousand questions take 8 MB."""


def mcnemar(differences: Sequence[float]) -> float:
    """Exact two-sided p-value of the differences of 0/1 scores (each -1, 0 or 1)."""
    from scipy.stats import binomtest

    wins, losses = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def flip_signs(differences: Sequence[float], resamples: int, seed: int) -> float:
    """Two-sided p-value of the mean difference under flipped signs.

    Exact where there are at most `resamples` ways to flip them. Otherwise that many are drawn, and the observed one
    counts as a draw, so the p-value is never 0.
    """
    import numpy as np
    from scipy.stats import permutation_test

    values = np.array([value for value in differences if value != 0.0])
    if len(values) < 2:
        # One difference is as extreme with either sign.
        return 1.0
    found = permutation_test(
        (values,), np.sum, permutation_type="samples", vectorized=True, n_resamples=resamples, batch=BATCH, rng=seed
    )
    return float(found.pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's corrected p-values: the smallest times their number, the next times one less, and so on, non-decreasing.

    Written here: SciPy lacks it, and statsmodels would be a dependency for it alone.
    """
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, (name, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, value * (len(p_values) - rank)))
        corrected[name] = highest
    return {name: corrected[name] for name in p_values}
