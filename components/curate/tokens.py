"""Text as tokens, and tokens as 64-bit numbers in flat arrays.

Normalisation: NFKC, invisible characters removed (Unicode's Default_Ignorable_Code_Point, as in NFKC_Casefold), curly
apostrophes and long dashes made plain, casefold. Tokens follow Unicode's word boundaries (UAX #29): a word is letters
with the marks that belong to them (vowel signs, tones, vocalisation), with inner apostrophes, middle dots and geresh.
Scripts without spaces between words (`scripts.py`) have one token for each letter with its marks. Numbers are
tokens (`1,000` is `1000`, `3.5` is one token), and so are emoji and the signs that carry meaning: `+ = < > ^ %` and
currencies anywhere, `- * /` before a number. All other punctuation and all space is dropped.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import regex

from components.curate.scripts import UNSPACED, is_unspaced

Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_FORM = (
    r"\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?!,?\d)|\d+(?:\.\d+)?"  # a number, also with thousands separators
    r"{single}"
    r"|\b[a-z](?:\+\+|\#)"  # C++, C#, F#
    r"|{first}{inner}*(?:[{joins}]{inner}+)*"
    r"|[+=<>±×÷∑√∞≤≥≠≈∫^%$€£¥₹]|[-*/](?=\s*\d)"
    "|[\U0001f000-\U0001faff\u2600-\u27bf]"
)
# The same tokens twice: most texts are plain ASCII, where the standard library's matcher is four times as fast.
PLAIN_TOKEN = re.compile(_FORM.format(single="", first="[a-z_]", inner="[a-z0-9_]", joins="'"), re.ASCII)
TOKEN = regex.compile(
    _FORM.format(
        single=rf"|[[{UNSPACED}]&&[\p{{L}}\p{{Nl}}]]\p{{M}}*",
        first=rf"[[\p{{L}}\p{{N}}_]--[{UNSPACED}\d]]",
        inner=rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{UNSPACED}]]",
        joins="'·׳״",
    ),
    regex.V1,
)
# Default_Ignorable_Code_Point of Unicode 16 (DerivedCoreProperties.txt): joiners, soft hyphens, directions, variants.
INVISIBLE = (
    *(0xAD, 0x34F, 0x61C, *range(0x115F, 0x1161), *range(0x17B4, 0x17B6), *range(0x180B, 0x1810)),
    *(*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0x3164, *range(0xFE00, 0xFE10)),
    *(0xFEFF, 0xFFA0, *range(0xFFF0, 0xFFF9), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B)),
    *range(0xE0000, 0xE1000),
)
PLAIN = str.maketrans({"’": "'", "‘": "'", "−": "-", "–": "-", "—": "-"} | {chr(code): None for code in INVISIBLE})
CACHED_TOKENS = 500_000
GRAM_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses no bits (2^64 over the golden ratio)


def normalise(text: str) -> str:
    """NFKC without invisible characters, plain apostrophes and dashes, casefolded."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKC", text).translate(PLAIN).casefold()
    # Removing and casefolding can take letters and marks apart or bring them together: as in NFKC_Casefold, once more.
    return plain if plain.isascii() else unicodedata.normalize("NFKC", plain)


def tokenise(text: str) -> list[str]:
    """The tokens of a text, in order."""
    plain = normalise(text)
    tokens: list[str] = (PLAIN_TOKEN if plain.isascii() else TOKEN).findall(plain)
    return [token.replace(",", "") for token in tokens] if "," in plain else tokens


def is_number(token: str) -> bool:
    """Whether a token is a number."""
    return token[0].isdigit()


def spell(tokens: Sequence[str]) -> str:
    """Tokens as readable text: spaces between words, none within scripts that have none."""
    parts: list[str] = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        together = before is not None and is_unspaced(before) and is_unspaced(token)
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
