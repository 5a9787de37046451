"""Whether a model and the base differ significantly on the same questions.

Scores of one question by two models are paired: the difference's standard error is that of the mean of the paired
differences (Miller, "Adding error bars to evals", arXiv 2411.00640, section 4.2), smaller than for unpaired samples.

p-values are two-sided. For scores that are all 0 or 1: the exact McNemar test (McNemar 1947, doi 10.1007/BF02295996),
a binomial test on the questions that only one model got right. For other scores: a permutation test that flips the
signs of the paired differences (Fisher 1935; Dror et al. 2018, doi 10.18653/v1/P18-1128).

With several models and one base, some difference may look significant by chance: by default the p-values of a benchmark
are corrected by Holm's step-down method (Holm 1979), which bounds the probability of any false discovery.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from components.shared.rows import Comparison
from components.shared.scores import mean, standard_error

BATCH = 1000
"""Permutations in memory at a time; 64-bit numbers, so a thousand questions take 8 MB."""


def compare_scores(
    benchmark: str, model: Sequence[float], base: Sequence[float], resamples: int, seed: int
) -> Comparison:
    """Compare a model with the base; both have scores in [0, 1], in the same order of questions."""
    differences = [ours - theirs for ours, theirs in zip(model, base, strict=True)]
    binary = all(score in (0.0, 1.0) for score in (*model, *base))
    return Comparison(
        benchmark=benchmark,
        difference=mean(differences),
        standard_error=standard_error(differences),
        p_value=mcnemar(differences) if binary else permutation(differences, resamples, seed),
    )


def mcnemar(differences: Sequence[float]) -> float:
    """Exact two-sided p-value of the differences of 0/1 scores (each -1, 0 or 1)."""
    from scipy.stats import binomtest

    wins, losses = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def permutation(differences: Sequence[float], resamples: int, seed: int) -> float:
    """Two-sided p-value of the mean difference under flipped signs.

    Exact where there are at most `resamples` ways to flip them. Otherwise that many are drawn, and the observed one
    counts as a draw, so the p-value is never 0.
    """
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
