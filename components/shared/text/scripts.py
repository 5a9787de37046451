"""The length of tokens in words, comparable across scripts.

Most scripts separate words with spaces. For the others, word segmentation needs a dictionary; so a token is smaller
than a word there, and counts as a fraction of one. The fractions are averages: a Chinese word has about 1.5
characters, a Japanese or Korean one about 2 kana or syllables, a Thai, Lao, Khmer or Burmese one about 3 grapheme
clusters. Unicode leaves these scripts to dictionaries too (UAX #29, section 4.1.1; line-breaking class SA of UAX #14).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import regex

Sixths = npt.NDArray[np.int64]

HAN = r"\p{Han}"
SYLLABLES = r"\p{Hiragana}\p{Katakana}ー\p{Hangul}\p{Bopomofo}\p{Yi}"
CLUSTERS = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}"
UNSPACED = HAN + SYLLABLES + CLUSTERS
"""Scripts without spaces between words, as the inside of a character class."""

WORD = 6
"""A word in sixths, the unit of lengths: integers add up exactly."""

_SHARES = ((regex.compile(f"[{HAN}]"), 4), (regex.compile(f"[{SYLLABLES}]"), 3), (regex.compile(f"[{CLUSTERS}]"), 2))
_IS_UNSPACED = regex.compile(f"[{UNSPACED}]")
_known: dict[str, int] = {}


def is_unspaced(token: str) -> bool:
    """Whether a token belongs to a script without spaces between words."""
    return not token.isascii() and _IS_UNSPACED.match(token) is not None


def sixths(tokens: Sequence[str]) -> Sixths:
    """[tokens] The length of each token in sixths of a word."""
    if "".join(tokens).isascii():
        return np.full(len(tokens), WORD, np.int64)
    return np.fromiter((_share(token) for token in tokens), np.int64, len(tokens))


def _share(token: str) -> int:
    if token.isascii():
        return WORD
    first = token[0]
    if first not in _known:
        _known[first] = next((share for pattern, share in _SHARES if pattern.match(first)), WORD)
    return _known[first]
