"""Intervals of scores and of their differences: those of SciPy and of Newcombe's table, always within their range."""

import pytest
from scipy.stats import binomtest

from components.shared.intervals import paired_interval, score_interval, unpaired_interval, wilson_interval
from components.shared.rows import Comparison, Score
from components.shared.scores import score_values


def score(right: int, count: int) -> Score:
    return score_values("quiz", "exact_match", [1.0] * right + [0.0] * (count - right))


@pytest.mark.parametrize("tries", [1, 4, 8, 16, 500])
def test_the_interval_is_scipys(tries: int) -> None:
    for successes in {0, 1, tries // 3, tries - 1, tries}:
        expected = binomtest(successes, tries).proportion_ci(0.95, method="wilson")
        wanted = pytest.approx((expected.low, expected.high), abs=1e-9)
        assert wilson_interval(successes, tries) == wanted
        assert score_interval(score(successes, tries)) == wanted, "the same from a score and its standard error"


def test_an_interval_never_excludes_what_was_seen() -> None:
    assert wilson_interval(0, 8)[0] == 0.0 and wilson_interval(8, 8)[1] == 1.0
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_one_right_answer_of_a_hundred_is_above_zero() -> None:
    """The normal interval is -1 % to 3 %."""
    low, high = score_interval(score(1, 100))
    assert (low, high) == pytest.approx((0.0018, 0.0545), abs=1e-4)


def test_scores_that_vary_less_than_right_and_wrong_have_a_narrower_interval() -> None:
    graded = score_values("sonnets", "chrf", [0.3, 0.5] * 50)
    low, high = score_interval(graded)
    assert (low, high) == pytest.approx(
        (0.4 - 1.96 * graded.standard_error, 0.4 + 1.96 * graded.standard_error), abs=1e-3
    )
    wide_low, wide_high = score_interval(score(40, 100))
    assert wide_low < low and high < wide_high


def test_equal_scores_of_a_few_questions_are_not_certain() -> None:
    assert score_interval(score_values("sonnets", "chrf", [0.5] * 10)) == wilson_interval(5, 10)


def test_a_difference_of_independent_scores_is_newcombes() -> None:
    """Examples a and e of Newcombe's table II."""
    assert unpaired_interval(score(56, 70), score(48, 80)) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert unpaired_interval(score(5, 56), score(0, 29)) == pytest.approx((-0.0381, 0.1926), abs=1e-4)


def test_a_difference_of_perfect_and_hopeless_models_is_at_most_everything() -> None:
    low, high = unpaired_interval(score(10, 10), score(0, 10))
    assert 0.5 < low < high == 1.0


def test_a_paired_difference_has_the_interval_of_its_standard_error() -> None:
    item = Comparison(benchmark="quiz", difference=0.05, standard_error=0.01, p_value=0.01)
    assert paired_interval(item) == pytest.approx((0.0304, 0.0696), abs=1e-4)
