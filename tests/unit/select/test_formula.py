"""weighted/1 follows its equation."""

import math

import pytest

from components.select.formula import FORMULAS, weighted
from components.select.settings import Formula
from components.shared.rows import Scores

PLAIN = Formula(perplexity_weight=1, quality_weight=2, check_weight=3, perplexity_scale=2)


@pytest.mark.parametrize(
    ("scores", "total"),
    [
        (Scores(perplexity=math.exp(2), safety=1.0, quality=0.5, checked=True), (math.exp(-1) + 1 + 3) / 6),
        (Scores(perplexity=1.0, quality=0.25), (1 + 0.5) / 3),
        (Scores(quality=0.25, checked=False), 0.5 / 5),
        (Scores(quality=0.25), 0.25),
        (Scores(), 0.0),
        (Scores(perplexity=1.0, safety=0.49, quality=1.0, checked=True), 0.0),
    ],
)
def test_terms_are_weighted_and_missing_ones_left_out(scores: Scores, total: float) -> None:
    assert weighted(scores, PLAIN, safe_from=0.5) == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_stays_within_0_and_1_and_rises_with_each_score(name: str) -> None:
    worse = Scores(perplexity=50.0, safety=0.6, quality=0.2, checked=False)
    better = [{"perplexity": 2.0}, {"quality": 0.9}, {"checked": True}]
    low = FORMULAS[name](worse, Formula(), 0.5)
    for change in better:
        assert 0 <= low < FORMULAS[name](worse.model_copy(update=change), Formula(), 0.5) <= 1
