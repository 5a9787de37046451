"""64-bit simhash of an instruction (Charikar, STOC 2002; Manku et al., WWW 2007), and the guard beside it.

Features are all runs of 1 to `shingle` tokens, each as often as it occurs. Bit i of the simhash is 1 when more than
half of the features' 64-bit hashes have bit i set. Two texts whose features have the cosine c differ in about
64·arccos(c)/π bits: distance 3 means that about 1 % of the features differ.

So the simhash of a short text cannot distinguish a repetition from another question: one word of ten changes a dozen
bits on average, and among thousands of texts from one template some are within 3 bits by chance. Hence the guard, a
second 64-bit number that must be equal: for a short text a hash of all its tokens, for a longer one of its numbers.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.curate.text.token_hashes import Hashes, Positions, TokenBatch, grams
from components.shared.outputs.digest import hash_text
from components.shared.text.scripts import WORD, sixths
from components.shared.text.words import is_number, normalise, tokenise

Votes = npt.NDArray[np.int32]

# Hashes unpacked to bits at once: 64 bytes each.
FEATURES_AT_ONCE = 1 << 18


def simhashes(batch: TokenBatch, shingle: int) -> Hashes:
    """The simhash of each text [texts]; 0 for a text without tokens."""
    votes = np.zeros((len(batch.lengths), 64), np.int32)
    totals = np.zeros(len(batch.lengths), np.int64)
    texts = batch.texts()
    for _, hashes, valid in grams(batch, shingle):
        for first in range(0, len(hashes), FEATURES_AT_ONCE):
            part = slice(first, first + FEATURES_AT_ONCE)
            owners = texts[part][valid[part]]
            if len(owners):
                _count_bits(votes, hashes[part][valid[part]], owners)
        totals += np.bincount(texts[valid], minlength=len(totals))
    bits = 2 * votes > totals[:, None]
    return np.packbits(bits, axis=1, bitorder="little").view("<u8").reshape(-1).astype(np.uint64)


def _count_bits(votes: Votes, hashes: Hashes, owners: Positions) -> None:
    """Add each hash's bits to its text's votes [texts, 64]; `owners` is ascending."""
    bits = np.unpackbits(hashes.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    starts = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
    votes[owners[starts]] += np.add.reduceat(bits, starts, axis=0, dtype=np.int32)


def guard(tokens: Sequence[str], short_tokens: int, numbers_distinguish: bool, desirable: bool | None = None) -> int:
    """A hash that must be equal for near-duplicates: of all tokens of a short text, of the numbers of a longer one.

    A text is short below `short_tokens` words, which are more tokens in scripts without spaces. The hash includes the
    response's label: the good and the bad response to one question are two pieces of evidence.
    """
    label = "" if desirable is None else f"desirable {desirable} "
    if len(tokens) < short_tokens or sixths(tokens).sum() < short_tokens * WORD:
        return hash_text(f"{label}tokens " + " ".join(tokens))
    numbers = [token for token in tokens if is_number(token)] if numbers_distinguish else []
    return hash_text(f"{label}numbers " + " ".join(numbers))


class Fillers:
    """Strips polite phrases from the start and the end of a text's tokens.

    A phrase at the end is kept after a colon or a quotation mark (`Translate into French: thank you`). A text that
    consists of such phrases is returned unchanged.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        tokens = {tuple(tokenise(phrase)) for phrase in phrases} - {()}
        self._phrases = sorted(tokens, key=len, reverse=True)
        self._firsts = {phrase[0] for phrase in tokens}
        self._lasts = {phrase[-1] for phrase in tokens}

    def strip(self, tokens: list[str], text: str) -> list[str]:
        """The tokens of `text` without the phrases."""
        first, last = 0, len(tokens)
        while first < last and tokens[first] in self._firsts:
            length = self._leading(tokens, first, last)
            if not length:
                break
            first += length
        while first < last and tokens[last - 1] in self._lasts:
            length = self._trailing(tokens, first, last, text)
            if not length:
                break
            last -= length
        return tokens[first:last] or tokens

    def _leading(self, tokens: list[str], first: int, last: int) -> int:
        fits = (len(p) for p in self._phrases if tuple(tokens[first : min(first + len(p), last)]) == p)
        return next(fits, 0)

    def _trailing(self, tokens: list[str], first: int, last: int, text: str) -> int:
        for phrase in self._phrases:
            if tuple(tokens[max(last - len(phrase), first) : last]) == phrase and not _is_quoted(phrase, text):
                return len(phrase)
        return 0


def _is_quoted(phrase: tuple[str, ...], text: str) -> bool:
    before, found, _ = normalise(text).rpartition(phrase[0] if len(phrase) == 1 else " ".join(phrase))
    return bool(found) and before.rstrip().endswith((":", '"', "“", "«", "「", "'"))
