"""Tokens as 64-bit numbers in flat arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.shared.outputs.digest import hash_text

Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CACHED_TOKENS = 500_000
GRAM_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses no bits (2^64 over the golden ratio)


@dataclass(frozen=True)
class TokenBatch:
    """Several texts as one flat array of token hashes.

    `hashes` [tokens] holds the texts one after the other; `starts` [texts] is where each begins, `lengths` [texts] its
    number of tokens.
    """

    hashes: Hashes
    starts: Positions
    lengths: Positions

    def left(self) -> Positions:
        """[tokens] The number of tokens from each position to the end of its text."""
        ends = np.repeat(self.starts + self.lengths, self.lengths)
        return ends - np.arange(len(self.hashes))

    def texts(self) -> Positions:
        """[tokens] The text that each position belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


class TokenHasher:
    """Hashes tokens, with a cache of bounded size."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def batch(self, texts: Sequence[Sequence[str]]) -> TokenBatch:
        """The texts' tokens as hashes."""
        if len(self._known) > CACHED_TOKENS:
            self._known.clear()
        lengths = np.fromiter((len(tokens) for tokens in texts), np.int64, len(texts))
        total = int(lengths.sum())
        hashes = np.fromiter((self._hash(token) for tokens in texts for token in tokens), np.uint64, total)
        return TokenBatch(hashes=hashes, starts=np.cumsum(lengths) - lengths, lengths=lengths)

    def _hash(self, token: str) -> int:
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = hash_text(token)
        return known


def grams(batch: TokenBatch, longest: int) -> Iterator[tuple[int, Hashes, Mask]]:
    """Hashes of all runs of 1 to `longest` tokens.

    Yields for each length n: n, a hash for each position [tokens] of the n tokens from there, and whether that run
    ends within its text [tokens]. The hash is a polynomial in GRAM_FACTOR, mixed.
    """
    left = batch.left()
    sums = np.zeros_like(batch.hashes)
    for n in range(1, longest + 1):
        if n > len(batch.hashes):
            return
        shifted = np.concatenate([batch.hashes[n - 1 :], np.zeros(n - 1, np.uint64)])
        sums = sums * GRAM_FACTOR + shifted
        yield n, mixed(sums), left >= n


def mixed(values: Hashes) -> Hashes:
    """Hashes with every bit mixed into all 64 (the finaliser of splitmix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
