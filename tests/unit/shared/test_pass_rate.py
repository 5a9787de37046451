"""Bins of pass rates; pass@k itself is tested with the benchmarks that report it."""

from components.shared.pass_rate import BINS, bin_of, histogram


def test_the_ends_of_the_histogram_are_never_and_always() -> None:
    rates = [0.0, 0.001, 0.25, 0.26, 0.5, 0.75, 0.76, 0.999, 1.0]
    assert [bin_of(rate) for rate in rates] == [BINS[number] for number in (0, 1, 1, 2, 2, 3, 4, 4, 5)]
    assert histogram(rates) == dict(zip(BINS, (1, 2, 2, 1, 2, 1), strict=True))
    assert sum(histogram([]).values()) == 0 and tuple(histogram([])) == BINS
