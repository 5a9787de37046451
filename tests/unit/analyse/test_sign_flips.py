"""The exact test by question, compared with all sign patterns one by one, and with McNemar's test."""

from itertools import product

import numpy as np
import pytest

from components.analyse.statistics.sign_flips import as_multiples, sign_flip_test
from components.shared.paired_tests import mcnemar


def enumerated(sums: np.ndarray) -> float:
    """The share of all sign patterns whose sum is as far from 0 as the observed one."""
    signed = [abs(sum(s * v for s, v in zip(signs, sums, strict=True))) for signs in product((-1, 1), repeat=len(sums))]
    return float(np.mean(np.array(signed) >= abs(sums.sum()) - 1e-9))


@pytest.mark.parametrize("number", range(20))
def test_it_is_exact(number: int) -> None:
    random = np.random.default_rng(number)
    table = random.integers(0, 2, (3, 11)).astype(float) - random.integers(0, 2, (3, 11))
    assert sign_flip_test(table, 100, 0) == pytest.approx(enumerated(table.sum(axis=0)))


def test_fractions_with_a_common_denominator_are_exact_too() -> None:
    random = np.random.default_rng(5)
    table = random.integers(-4, 5, (2, 10)) / 4
    assert sign_flip_test(table, 100, 0) == pytest.approx(enumerated(table.sum(axis=0)))


@pytest.mark.parametrize(("wins", "losses"), [(9, 1), (5, 5), (0, 0), (30, 12)])
def test_one_seed_of_right_and_wrong_answers_is_mcnemar(wins: int, losses: int) -> None:
    differences = [1.0] * wins + [-1.0] * losses + [0.0] * 50
    assert sign_flip_test(np.array([differences]), 100, 0) == pytest.approx(mcnemar(differences))


def test_seeds_that_repeat_questions_add_no_evidence() -> None:
    """Five seeds that give the same answers are as good as one, not five times as many questions."""
    one = np.array([[1.0] * 12 + [-1.0] * 4 + [0.0] * 20])
    assert sign_flip_test(np.repeat(one, 5, axis=0), 100, 0) == pytest.approx(sign_flip_test(one, 100, 0))


def test_other_scores_are_drawn_and_repeatable() -> None:
    random = np.random.default_rng(6)
    table = random.normal(0.02, 0.1, (3, 80))
    assert as_multiples(table.sum(axis=0)) is None
    first = sign_flip_test(table, 2000, 1)
    assert first == sign_flip_test(table, 2000, 1) and 0 < first < 1


def test_many_questions_keep_small_p_values() -> None:
    assert sign_flip_test(np.ones((3, 500)), 100, 0) == pytest.approx(2.0**-499, rel=1e-6)
