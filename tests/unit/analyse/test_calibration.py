"""Simulated studies with a known truth: the intervals cover it, and nothing is invented.

benchmarks/study_simulation has 200 studies for each of twelve designs; here are a few, with fixed seeds.
"""

import pytest

from benchmarks.study_simulation.integrate import SHARES_OF_ANSWERS, SHARES_OF_SEEDS, normal_coverage
from benchmarks.study_simulation.measure import measure
from benchmarks.study_simulation.simulate import Design


@pytest.mark.parametrize("design", [Design(3, 200, 1.0), Design(5, 300, 2.0)])
def test_intervals_cover_and_false_positives_are_rare(design: Design) -> None:
    tally = measure(design, studies=40, seed=3, resamples=0)
    for kind in ("arm", "to base", "to best"):
        assert 90 <= tally.coverage(kind) <= 100, "within 4 standard errors of 95 % for 120 intervals and more"
    assert tally.rate("family") <= 10, (
        "4 of 40: 5 % of studies or fewer have one, and 1 of 40 has more than 4 by chance"
    )


def test_a_design_is_repeatable() -> None:
    first, second = (measure(Design(3, 100, 1.0, validation=50), studies=2, seed=5, resamples=100) for _ in range(2))
    assert first == second and len(first.held["bootstrap"]) == 6


@pytest.mark.parametrize(("seeds", "lowest"), [(3, 0.925), (5, 0.94)])
@pytest.mark.parametrize("of_seeds", SHARES_OF_SEEDS)
def test_normal_scores_are_covered_whatever_the_share_of_the_seeds(seeds: int, lowest: float, of_seeds: float) -> None:
    for of_answers in SHARES_OF_ANSWERS:
        assert lowest <= normal_coverage(seeds, of_seeds, of_answers, 0.05) <= 0.97
