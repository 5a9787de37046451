"""Intervals and bins of pass rates; pass@k itself is tested with the benchmarks that report it."""

import pytest
from scipy.stats import binomtest

from components.shared.pass_rate import BINS, bin_of, histogram, wilson_interval


@pytest.mark.parametrize("tries", [1, 4, 8, 16, 500])
def test_the_interval_is_scipys(tries: int) -> None:
    for successes in {0, 1, tries // 3, tries - 1, tries}:
        expected = binomtest(successes, tries).proportion_ci(0.95, method="wilson")
        assert wilson_interval(successes, tries) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_an_interval_never_excludes_what_was_seen() -> None:
    assert wilson_interval(0, 8)[0] == 0.0 and wilson_interval(8, 8)[1] == 1.0
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_the_ends_of_the_histogram_are_never_and_always() -> None:
    rates = [0.0, 0.001, 0.25, 0.26, 0.5, 0.75, 0.76, 0.999, 1.0]
    assert [bin_of(rate) for rate in rates] == [BINS[number] for number in (0, 1, 1, 2, 2, 3, 4, 4, 5)]
    assert histogram(rates) == dict(zip(BINS, (1, 2, 2, 1, 2, 1), strict=True))
    assert sum(histogram([]).values()) == 0 and tuple(histogram([])) == BINS
