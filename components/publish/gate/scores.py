"""Scores and differences by benchmark, and how sure a difference is."""

import math
from statistics import NormalDist

from components.publish.report_schema import VariantFacts
from components.shared.rows import Comparison, PartScores, Score, Variant

Scored = Variant | VariantFacts | PartScores


def lower_bound(item: Comparison, questions: int, alpha: float) -> float:
    """The one-sided lower bound of a difference, at the level 1 - alpha.

    1 / questions² is added to the variance, as half a question in each cell of the paired table does (Agresti and Min,
    Statistics in Medicine 2005, 24:729): equal answers to few questions do not prove that models are equal.
    """
    error = math.sqrt(item.standard_error**2 + 1 / questions**2)
    return item.difference - NormalDist().inv_cdf(1 - alpha) * error


def score_of(scores: Scored | None, benchmark: str) -> float | None:
    """The score on a benchmark, None when there is none."""
    found = scores.scores if scores else ()
    return next((score.value for score in found if score.benchmark == benchmark), None)


def full_score(scores: Scored | None, benchmark: str) -> Score | None:
    """The same with its standard error."""
    found = scores.scores if scores else ()
    return next((score for score in found if score.benchmark == benchmark), None)


def against_base(scores: Scored | None, benchmark: str) -> Comparison | None:
    """The difference to the base on a benchmark, None when there is none."""
    found = scores.against_base if scores else ()
    return next((item for item in found if item.benchmark == benchmark), None)


def questions_of(scores: PartScores | None, benchmark: str) -> int:
    """How many questions of a benchmark a part holds."""
    return next((score.count for score in scores.scores if score.benchmark == benchmark), 0) if scores else 0


def points(fraction: float) -> str:
    """A difference of scores in points: 0.0213 is `2.1 points`."""
    return f"{100 * fraction:.1f} points"
