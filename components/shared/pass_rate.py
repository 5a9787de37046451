"""Pass rates: estimates from a few tries of each problem."""

import math
from collections import Counter
from collections.abc import Iterable

BINS = ("0", "0-25 %", "25-50 %", "50-75 %", "75-100 %", "100 %")
"""Of a histogram: exactly 0 and exactly 1 are bins of their own, the others include their upper end except 1."""


def pass_at(k: int, tries: int, successes: int) -> float:
    """The probability that at least one of k tries succeeds, estimated without bias from a fixed number >= k of tries.

    1 - C(n - c, k) / C(n, k), where c of the n tries succeeded (Chen et al., "Evaluating large language models trained
    on code", arXiv 2107.03374, section 2.1). 1 - (1 - c/n)^k would be too low.
    """
    return 1.0 - math.comb(tries - successes, k) / math.comb(tries, k)


def bin_of(rate: float) -> str:
    """The bin of a pass rate in [0, 1]."""
    if rate <= 0:
        return BINS[0]
    return BINS[-1] if rate >= 1 else BINS[math.ceil(4 * rate)]


def histogram(rates: Iterable[float]) -> dict[str, int]:
    """How many pass rates are in each bin, empty ones too."""
    counts = Counter(map(bin_of, rates))
    return {name: counts[name] for name in BINS}
