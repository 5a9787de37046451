"""The variance of a mean over seeds and questions, split into what either of them contributes.

Every seed's model is asked the same questions, so the scores (or paired differences) of an arm are a table of seeds by
questions, and both are drawn from something larger: other seeds would have trained other models, and other questions
could have been asked. With x[s, q] = mean + a[s] + b[q] + e[s, q], all independent,

    var(mean of the table) = var(a) / S + var(b) / Q + var(e) / (S Q).

The last two are the variance of the question means divided by Q. The first is what the variance of the seed means has
beyond the share that e explains, and not less than 0 (analysis of variance of a two-way random layout without
replication: Searle, Casella and McCulloch, *Variance Components*, 1992, chapter 4).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
"""Scores or differences, shape (seeds, questions)."""


@dataclass(frozen=True)
class MeanVariance:
    """The mean of a table and the parts of its variance, in squared units of the scores.

    Attributes:
        mean: of all cells.
        seeds: rows, S.
        questions: columns, Q.
        of_questions: (var(b) + var(e) / S) / Q.
        of_seeds: var(a) / S; 0 where it is not positive, or with one seed.
        seed_square: the variance of the row means / S, of which `of_seeds` is what e does not explain.
    """

    mean: float
    seeds: int
    questions: int
    of_questions: float
    of_seeds: float
    seed_square: float

    @property
    def total(self) -> float:
        """The variance of the mean."""
        return self.of_questions + self.of_seeds

    @property
    def standard_error(self) -> float:
        """Of the mean."""
        return float(np.sqrt(self.total))

    @property
    def degrees(self) -> float:
        """Degrees of freedom of `total` by Satterthwaite (1946, doi 10.2307/3002019): Q - 1 without noise of seeds."""
        if self.of_seeds <= 0.0:
            return float(self.questions - 1)
        spread = self.seed_square**2 / (self.seeds - 1) + self.of_questions**2 / (self.questions - 1)
        return float(self.total**2 / spread)


def split_variance(table: Table) -> MeanVariance:
    """Split the variance of a table's mean.

    Args:
        table: shape (seeds, questions), with at least two questions. One seed says nothing about seeds.

    Raises:
        ValueError: fewer than two questions.
    """
    seeds, questions = table.shape
    if questions < 2:
        raise ValueError("the variance of a mean needs at least two questions")
    mean = float(table.mean())
    by_seed, by_question = table.mean(axis=1), table.mean(axis=0)
    of_questions = float(by_question.var(ddof=1) / questions)
    if seeds == 1:
        return MeanVariance(mean, 1, questions, of_questions, 0.0, 0.0)
    rest = table - by_seed[:, None] - by_question[None, :] + mean
    rest_square = float((rest**2).sum() / ((seeds - 1) * (questions - 1)) / table.size)
    seed_square = float(by_seed.var(ddof=1) / seeds)
    return MeanVariance(mean, seeds, questions, of_questions, max(0.0, seed_square - rest_square), seed_square)
