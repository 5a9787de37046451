"""Simulated studies with a known truth: the intervals cover it, and nothing is invented.

benchmarks/study_simulation has 200 studies for each of twelve designs; here are a few, with fixed seeds.
"""

import pytest

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
