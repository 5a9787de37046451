"""An index of the runs of evaluation questions by hash."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.curate.text.runs import Runs
from components.curate.text.token_hashes import Hashes, Mask, Positions

# The sieve's size: 2^6 bits for each hash, at most 2^24.
SPARE_BITS, SIEVE_BITS = 6, 24


@dataclass(frozen=True)
class RunIndex:
    """Sorted hashes of runs, and the question of each; a hash may occur several times.

    `sieve` has a bit for each prefix of the hashes in the index, which excludes most other hashes cheaply.
    """

    hashes: Hashes
    questions: npt.NDArray[np.int32]
    sieve: Mask

    @classmethod
    def of(cls, hashes: Hashes, questions: Positions) -> "RunIndex":
        """Each run of each question once."""
        order = np.lexsort((questions, hashes))
        hashes, questions = hashes[order], questions[order]
        new = np.append(True, (hashes[1:] != hashes[:-1]) | (questions[1:] != questions[:-1]))[: len(order)]
        hashes = hashes[new]
        bits = min(len(hashes).bit_length() + SPARE_BITS, SIEVE_BITS)
        sieve = np.zeros(1 << bits, bool)
        sieve[hashes >> np.uint64(64 - bits)] = True
        return cls(hashes, questions[new].astype(np.int32), sieve)

    def hits(self, runs: Runs) -> Positions:
        """The positions of runs that are in the index."""
        if not len(self.hashes):
            return np.zeros(0, np.int64)
        bits = len(self.sieve).bit_length() - 1
        places = np.flatnonzero(runs.valid & self.sieve[runs.hashes >> np.uint64(64 - bits)])
        values = runs.hashes[places]
        found = self.hashes[np.minimum(np.searchsorted(self.hashes, values), len(self.hashes) - 1)] == values
        return places[found]

    def owners(self, values: Hashes) -> tuple[Positions, Positions]:
        """The questions of all values, one after the other, and the value that each belongs to."""
        first, last = np.searchsorted(self.hashes, values, "left"), np.searchsorted(self.hashes, values, "right")
        counts = last - first
        places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
        return self.questions[places].astype(np.int64), np.repeat(np.arange(len(values)), counts)
