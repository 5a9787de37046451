"""Whether a model and the base differ significantly on the same questions.

Scores of one question by two models are paired: the difference's standard error is that of the mean of the paired
differences (Miller, "Adding error bars to evals", arXiv 2411.00640, section 4.2), smaller than for unpaired samples.

With several models and one base, some difference may look significant by chance: by default the p-values of a benchmark
are corrected by Holm's method. The tests and the correction are those of components/shared/paired_tests.py.
"""

from collections.abc import Sequence

from components.shared.paired_tests import flip_signs, mcnemar
from components.shared.rows import Comparison
from components.shared.scores import mean, standard_error


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
        p_value=mcnemar(differences) if binary else flip_signs(differences, resamples, seed),
    )
