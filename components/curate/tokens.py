"""Text as tokens, and tokens as 64-bit numbers in flat arrays.

Normalisation: NFKC, curly apostrophes and long dashes made plain, casefold. Tokens: words (with inner apostrophes),
numbers (`1,000` is `1000`, `3.5` is one token), single CJK characters, emoji, and the signs that carry meaning:
`+ = < > ^ %` and currencies anywhere, `- * /` before a number. All other punctuation and all space is dropped.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
TOKEN = re.compile(
    r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!,?\d)|\d+(?:\.\d+)?"  # a number, also with thousands separators
    rf"|[{CJK}]"
    r"|\b[a-z](?:\+\+|\#)"  # C++, C#, F#
    rf"|(?:(?![{CJK}\d])\w)(?:(?![{CJK}])\w)*(?:'(?:(?![{CJK}])\w)+)*"
    r"|[+=<>±×÷∑√∞≤≥≠≈∫^%$€£¥₹]|[-*/](?=\s*\d)"
    "|[\U0001f000-\U0001faff\u2600-\u27bf]"
)
PLAIN = str.maketrans({"’": "'", "‘": "'", "−": "-", "–": "-", "—": "-"})
IS_CJK = re.compile(f"[{CJK}]")
CACHED_TOKENS = 500_000
GRAM_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses no bits (2^64 over the golden ratio)


def normalise(text: str) -> str:
    """NFKC, plain apostrophes and dashes, casefolded."""
    return unicodedata.normalize("NFKC", text).translate(PLAIN).casefold()


def tokenise(text: str) -> list[str]:
    """The tokens of a text, in order."""
    tokens: list[str] = TOKEN.findall(normalise(text))
    return [token.replace(",", "") for token in tokens]


def is_number(token: str) -> bool:
    """Whether a token is a number."""
    return token[0].isdigit()


def spell(tokens: Sequence[str]) -> str:
    """Tokens as readable text: spaces between words, none between CJK characters."""
    parts: list[str] = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        together = before is not None and IS_CJK.match(before) and IS_CJK.match(token)
        parts += [token] if before is None or together else [" ", token]
    return "".join(parts)


def digest(text: str) -> int:
    """The first 64 bits of BLAKE2b of a text: the same on every machine and in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class TokenBatch:
    """Several texts as one flat array of token hashes.

    `hashes` [tokens] holds them one text after the other, `starts` [texts] where each begins and `lengths` [texts]
    how many tokens it has.
    """

    hashes: Hashes
    starts: Positions
    lengths: Positions

    def left(self) -> Positions:
        """[tokens] How many tokens there are from each position to the end of its text."""
        ends = np.repeat(self.starts + self.lengths, self.lengths)
        return ends - np.arange(len(self.hashes))

    def texts(self) -> Positions:
        """[tokens] The text that each position belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


class TokenHasher:
    """Hashes tokens, and remembers those seen (a bounded number of them)."""

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
            known = self._known[token] = digest(token)
        return known


def grams(batch: TokenBatch, longest: int) -> Iterator[tuple[int, Hashes, Mask]]:
    """Hashes of all runs of 1 to `longest` tokens.

    Yields for each length n: n, a hash for each position [tokens] of the n tokens from there, and where such a run
    lies within one text [tokens]. The hash is a polynomial in GRAM_FACTOR, mixed.
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
    """Every bit spread over all 64 (the finaliser of splitmix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
