"""The parts of a mean's variance, its interval and p-value, compared with values by hand and with SciPy's."""

import numpy as np
import pytest
from scipy import stats

from components.analyse.statistics.interval import half_width, interval, p_value
from components.analyse.statistics.variance import MeanVariance, split_variance

RANDOM = np.random.default_rng(4)
TABLE = np.array([[1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0]])


def parts(of_questions: float, of_seeds: float, seeds: int = 3, questions: int = 400) -> MeanVariance:
    return MeanVariance(0.05, seeds, questions, of_questions, of_seeds, of_seeds)


def test_the_parts_are_those_of_a_two_way_analysis_of_variance() -> None:
    found = split_variance(TABLE)
    by_seed, by_question = TABLE.mean(axis=1), TABLE.mean(axis=0)
    between = (3 * (by_question - TABLE.mean()) ** 2).sum() / 3
    seeds = (4 * (by_seed - TABLE.mean()) ** 2).sum() / 2
    total = ((TABLE - TABLE.mean()) ** 2).sum()
    rest = (total - 3 * between - 2 * seeds) / 6
    assert found.mean == pytest.approx(TABLE.mean())
    # mean squares over 12 cells, as in Searle, Casella and McCulloch
    assert found.of_questions == pytest.approx(between / 12)
    assert found.seed_square == pytest.approx(seeds / 12)
    assert found.of_seeds == pytest.approx(max(0.0, (seeds - rest) / 12))


def test_the_variance_is_that_of_the_mean_on_average() -> None:
    """With seeds' noise 0.3, questions' 0.5 and 1 for single answers, over 4 seeds and 50 questions."""
    found = []
    for _ in range(2000):
        noise = RANDOM.normal(0, 0.3, (4, 1)) + RANDOM.normal(0, 0.5, (1, 50)) + RANDOM.normal(0, 1, (4, 50))
        found.append(split_variance(noise).total)
    assert np.mean(found) == pytest.approx(0.09 / 4 + 0.25 / 50 + 1 / 200, rel=0.05)


def test_one_seed_gives_the_t_interval_over_questions() -> None:
    answers = np.array([[1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]])
    wanted = stats.t.interval(0.95, 7, loc=answers.mean(), scale=stats.sem(answers[0]))
    found = split_variance(answers)
    assert interval(found, 0.05) == pytest.approx(wanted)
    assert p_value(found) == pytest.approx(stats.ttest_1samp(answers[0], 0).pvalue, rel=1e-6)


def test_seeds_alone_give_the_t_interval_over_seeds() -> None:
    found = parts(of_questions=0.0, of_seeds=0.0004)
    assert half_width(found, 0.05) == pytest.approx(stats.t.ppf(0.975, 2) * 0.02)
    assert p_value(found) == pytest.approx(2 * stats.t.sf(0.05 / 0.02, 2), rel=1e-6)


def test_the_interval_is_the_wider_of_satterthwaite_and_mover() -> None:
    found = parts(of_questions=0.0002, of_seeds=0.0004)
    degrees = 0.0006**2 / (0.0004**2 / 2 + 0.0002**2 / 399)
    assert found.degrees == pytest.approx(degrees)
    satterthwaite = stats.t.ppf(0.975, degrees) * np.sqrt(0.0006)
    mover = np.sqrt(stats.t.ppf(0.975, 399) ** 2 * 0.0002 + stats.t.ppf(0.975, 2) ** 2 * 0.0004)
    assert half_width(found, 0.05) == pytest.approx(max(satterthwaite, mover))


@pytest.mark.parametrize("alpha", [0.3, 0.05, 0.001, 1e-8])
def test_the_p_value_is_the_level_whose_interval_ends_at_zero(alpha: float) -> None:
    found = parts(of_questions=0.0001, of_seeds=0.00005)
    edge = MeanVariance(
        -half_width(found, alpha), found.seeds, found.questions, found.of_questions, found.of_seeds, found.seed_square
    )
    assert p_value(edge) == pytest.approx(alpha, rel=1e-6)


def test_differences_without_variance() -> None:
    assert p_value(split_variance(np.zeros((3, 5)))) == 1.0
    assert p_value(split_variance(np.ones((3, 5)))) < 1e-99
    assert interval(split_variance(np.ones((3, 5))), 0.05) == (1.0, 1.0)
    with pytest.raises(ValueError, match="two questions"):
        split_variance(np.ones((3, 1)))
