"""Hashes of all runs of n words, or of n tokens, of several texts at once.

A run of n words has as many tokens as its script needs (`scripts.py`), so that 13 words of Thai are comparable to 13
words of English. Hashes are polynomials modulo 2^64 in GRAM_FACTOR, mixed; with the prefix sums stored, the hash of any
run is one subtraction and one product.
"""

from dataclasses import dataclass

import numpy as np

from components.curate.text.token_hashes import GRAM_FACTOR, Hashes, Mask, Positions, mixed
from components.shared.text.scripts import WORD, Sixths

INVERSE_FACTOR = np.uint64(pow(int(GRAM_FACTOR), -1, 1 << 64))


@dataclass(frozen=True)
class Runs:
    """The run from each position [tokens]: its hash, its number of tokens, and whether it ends within its text."""

    hashes: Hashes
    lengths: Positions
    valid: Mask

    def covered(self, chosen: Mask) -> Mask:
        """[tokens] Which positions are within one of the chosen runs."""
        first = np.flatnonzero(chosen)
        edges = np.zeros(len(self.hashes) + 1, np.int64)
        np.add.at(edges, first, 1)
        np.add.at(edges, first + self.lengths[first], -1)
        return np.cumsum(edges[:-1]) > 0


class Sequences:
    """Token hashes of several texts, one after the other, from which hashes of runs are computed.

    Args:
        hashes: of the tokens [tokens].
        sixths: the length of each token in sixths of a word [tokens].
        left: the number of tokens from each position to the end of its text [tokens].
    """

    def __init__(self, hashes: Hashes, sixths: Sixths, left: Positions) -> None:
        self._left = left
        self._words = np.concatenate([np.zeros(1, np.int64), np.cumsum(sixths)])
        powers = np.full(len(hashes), GRAM_FACTOR, np.uint64)
        powers[:1] = 1
        self._sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes * np.cumprod(powers))])
        inverse = np.full(len(hashes), INVERSE_FACTOR, np.uint64)
        inverse[:1] = 1
        self._shifts = np.cumprod(inverse)

    def of_words(self, words: int) -> Runs:
        """From each position, the shortest run of at least so many words."""
        ends = np.searchsorted(self._words, self._words[:-1] + words * WORD, "left")
        lengths = ends - np.arange(len(ends))
        sums = self._sums[np.minimum(ends, len(lengths))] - self._sums[:-1]
        return Runs(mixed(sums * self._shifts), lengths, lengths <= self._left)

    def of_tokens(self, tokens: int) -> Runs:
        """From each position, the run of that many tokens."""
        count = max(len(self._left) - tokens + 1, 0)
        hashes = np.zeros(len(self._left), np.uint64)
        hashes[:count] = mixed((self._sums[tokens:] - self._sums[:count]) * self._shifts[:count])
        return Runs(hashes, np.full(len(hashes), tokens, np.int64), self._left >= tokens)
