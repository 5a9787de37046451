"""The bootstrap, the Beta interval and the power of a study."""

import numpy as np
import pytest
from scipy import stats

from components.analyse.statistics.beta import beta_interval, effective_answers
from components.analyse.statistics.bootstrap import bootstrap_interval
from components.analyse.statistics.interval import half_width, p_value, smallest_difference
from components.analyse.statistics.variance import MeanVariance, split_variance


def test_the_bootstrap_of_one_seed_has_the_standard_error_of_the_questions() -> None:
    answers = np.random.default_rng(1).integers(0, 2, (1, 400)).astype(float)
    low, high = bootstrap_interval(answers, 0.05, 4000, 7)
    assert (low, high) == bootstrap_interval(answers, 0.05, 4000, 7)
    spread = answers.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((answers.mean() - 1.96 * spread, answers.mean() + 1.96 * spread), abs=0.004)


def test_the_bootstrap_draws_seeds_and_asks_each_the_same_questions() -> None:
    """Where only seeds differ, the resampled means are those of the 27 ways to draw three of three."""
    table = np.repeat(np.array([[0.0], [0.3], [0.9]]), 6, axis=1)
    low, high = bootstrap_interval(table, 0.05, 5000, 2)
    assert (low, high) == pytest.approx((0.0, 0.9)), "1 of 27 draws has three times the same seed: above 2.5 %"
    # Questions that cancel within a seed do so in the mean only if all seeds have the same ones.
    paired = np.array([[0.0, 1.0] * 50, [1.0, 0.0] * 50])
    low, high = bootstrap_interval(paired, 0.05, 5000, 2)
    assert high - low > 0.05


def test_independent_answers_have_the_beta_posterior_of_jeffreys() -> None:
    answers = np.array([[1.0] * 70 + [0.0] * 30])
    low, high = beta_interval(split_variance(answers), 0.05)
    wanted = stats.beta.ppf((0.025, 0.975), 70.5, 30.5)
    assert (low, high) == pytest.approx(tuple(wanted), abs=0.004), "but for the t quantile of 99 degrees of freedom"


def test_answers_of_several_seeds_to_one_question_count_once() -> None:
    one = np.array([[1.0] * 70 + [0.0] * 30])
    same = split_variance(np.repeat(one, 5, axis=0))
    assert effective_answers(same, 0.05) == pytest.approx(effective_answers(split_variance(one), 0.05))


def test_a_perfect_score_still_has_an_interval() -> None:
    low, high = beta_interval(split_variance(np.ones((3, 50))), 0.05)
    assert (low, high) == pytest.approx(tuple(stats.beta.ppf((0.025, 0.975), 50.5, 0.5)))
    assert 0.94 < low < high <= 1.0


def test_the_smallest_difference_is_found_with_the_asked_probability() -> None:
    """Normal differences with a known standard error: 80 % of them have p < 0.05."""
    error, questions = 0.01, 4000
    found = MeanVariance(0.0, 1, questions, error**2, 0.0, 0.0)
    smallest = smallest_difference(found, 0.05, 0.8)
    assert smallest == pytest.approx((1.96 + 0.8416) * error, rel=2e-3)
    means = np.random.default_rng(3).normal(smallest, error, 2000)
    hits = [p_value(MeanVariance(float(mean), 1, questions, error**2, 0.0, 0.0)) < 0.05 for mean in means]
    assert np.mean(hits) == pytest.approx(0.8, abs=0.03)
    assert smallest > half_width(found, 0.05)
    assert smallest_difference(found, 0.05 / 9, 0.8) > smallest, "a larger family needs a larger difference"
