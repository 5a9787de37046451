"""Standard errors and p-values, compared with values computed by hand or by a closed formula."""

import math

import pytest

from components.compare.significance import compare_scores
from components.shared.paired_tests import flip_signs, holm, mcnemar
from components.shared.scores import mean, standard_error


def test_standard_error_of_a_share() -> None:
    values = [1.0] * 30 + [0.0] * 70
    assert standard_error(values) == pytest.approx(math.sqrt(0.3 * 0.7 / 99))
    assert mean(values) == pytest.approx(0.3)
    assert standard_error([1.0]) == 0.0


def test_mcnemar_counts_only_questions_that_one_model_got_right() -> None:
    # 9 wins and 1 loss: 2 (1 + 10) / 2^10
    assert mcnemar([1.0] * 9 + [-1.0] + [0.0] * 500) == pytest.approx(22 / 1024)
    assert mcnemar([0.0] * 10) == 1.0
    assert mcnemar([1.0, -1.0]) == 1.0
    assert mcnemar([1.0] * 9 + [-1.0]) == mcnemar([-1.0] * 9 + [1.0])


@pytest.mark.parametrize("wins", [0, 1, 7, 20, 40])
def test_mcnemar_is_the_exact_binomial_test(wins: int) -> None:
    losses = 40 - wins
    tail = sum(math.comb(40, count) for count in range(min(wins, losses) + 1))
    expected = min(1.0, 2 * tail / 2**40)
    assert mcnemar([1.0] * wins + [-1.0] * losses) == pytest.approx(expected, rel=1e-12)


def test_mcnemar_holds_for_many_questions() -> None:
    assert mcnemar([1.0] * 3000) == pytest.approx(0.0, abs=1e-300)
    wins, losses = 5100, 4900
    z = (wins - losses - 1) / math.sqrt(wins + losses)
    assert mcnemar([1.0] * wins + [-1.0] * losses) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.01)


def test_paired_difference() -> None:
    model, base = [1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]
    comparison = compare_scores("demo", model, base, resamples=100, seed=0)
    assert comparison.difference == 0.5
    # differences 1, 0, 1, 0: s = sqrt(1/3), divided by sqrt(4)
    assert comparison.standard_error == pytest.approx(math.sqrt(1 / 3) / 2)
    assert comparison.p_value == 0.5


def test_permutation_is_used_for_fractions_and_is_repeatable() -> None:
    model, base = [0.5, 0.75, 0.5, 1.0, 0.25, 0.75, 0.5, 1.0], [0.25, 0.5, 0.25, 0.5, 0.0, 0.25, 0.25, 0.5]
    first = compare_scores("demo", model, base, resamples=4000, seed=1)
    assert first == compare_scores("demo", model, base, resamples=4000, seed=1)
    # all eight differences have one sign: 2 of 2^8 sign patterns are as extreme
    assert first.p_value == pytest.approx(2 / 256)
    many = [0.1] * 60 + [-0.1] * 40
    drawn = flip_signs(many, resamples=2000, seed=1)
    assert drawn == flip_signs(many, resamples=2000, seed=1)
    # 60 of 100 equal differences have one sign: the sign test's p-value
    assert drawn == pytest.approx(0.0569, abs=0.02)
    assert flip_signs([0.0, 0.0], resamples=200, seed=0) == flip_signs([0.0, 0.4], resamples=200, seed=0) == 1.0
    assert flip_signs([0.1, -0.1], resamples=200, seed=0) == 1.0


def test_holm_steps_down() -> None:
    corrected = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.9})
    assert corrected == pytest.approx({"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.9})
    assert holm({"a": 0.4, "b": 0.5}) == {"a": 0.8, "b": 0.8}
    assert holm({}) == {}
