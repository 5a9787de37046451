"""Whether a model differs from the base on the same questions.

Scores of one question by two models are paired: the difference's standard error is that of the mean of the paired
differences (Miller, "Adding error bars to evals", arXiv 2411.00640, section 4.2), smaller than for unpaired samples.

p-values are two-sided. For scores that are all 0 or 1: the exact McNemar test (McNemar 1947, doi 10.1007/BF02295996),
binomial on the questions that only one model got right. For other scores: a permutation test that flips the signs of
the paired differences at random (Fisher 1935; Dror et al. 2018, doi 10.18653/v1/P18-1128).

With several models against one base, some difference looks significant by chance: by default the p-values of a
benchmark are corrected by Holm's step-down method (Holm 1979), which bounds the chance of any false finding.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from components.evaluate.score import mean, standard_error
from components.shared.rows import Comparison


def compare_scores(
    benchmark: str, model: Sequence[float], base: Sequence[float], resamples: int, seed: int
) -> Comparison:
    """One model against the base; scores are in [0, 1], in the same order of questions."""
    differences = [ours - theirs for ours, theirs in zip(model, base, strict=True)]
    binary = all(score in (0.0, 1.0) for score in (*model, *base))
    return Comparison(
        benchmark=benchmark,
        difference=mean(differences),
        standard_error=standard_error(differences),
        p_value=mcnemar(differences) if binary else permutation(differences, resamples, seed),
    )


def mcnemar(differences: Sequence[float]) -> float:
    """Exact two-sided p-value of 0/1 scores' differences (each -1, 0 or 1)."""
    wins, losses = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    total, fewer = wins + losses, min(wins, losses)
    # Binomial coefficients, each from the one before: integers of any length, so nothing is rounded but the division.
    tail = coefficient = 1
    for count in range(1, fewer + 1):
        coefficient = coefficient * (total - count + 1) // count
        tail += coefficient
    return min(1.0, 2 * tail / 2**total)


def permutation(differences: Sequence[float], resamples: int, seed: int) -> float:
    """Two-sided p-value of the mean difference under random signs; the observed one counts as a draw, so never 0."""
    values = np.array([value for value in differences if value != 0.0])
    observed = abs(values.sum()) - 1e-12
    draws = np.random.default_rng(seed)
    extreme = 0
    for _ in range(resamples):
        signs = draws.integers(0, 2, size=len(values)) * 2 - 1
        extreme += abs((values * signs).sum()) >= observed
    return float(extreme + 1) / (resamples + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's corrected p-values: the smallest times their number, the next times one less, and never falling."""
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, (name, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, value * (len(p_values) - rank)))
        corrected[name] = highest
    return {name: corrected[name] for name in p_values}
