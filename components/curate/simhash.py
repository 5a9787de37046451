"""64-bit simhash of an instruction (Charikar, STOC 2002; Manku et al., WWW 2007), and what else must be equal.

Features are all runs of 1 to `shingle` tokens, each as often as it occurs. Bit i of the simhash is 1 when more than
half of the features' 64-bit hashes have bit i set. Two texts whose features have the cosine c differ in about
64·arccos(c)/π bits: distance 3 means that about 1 % of the features differ.

So the simhash of a short text can't tell a repetition from another question: one word of ten changes a dozen bits on
average, and with thousands of texts from one template some of them fall within 3 bits by chance. Hence the guard, a
second 64-bit number that has to be equal: of a short text the digest of all its tokens, of a longer one that of its
numbers.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.curate.scripts import WORD, sixths
from components.curate.tokens import Hashes, Positions, TokenBatch, digest, grams, is_number, normalise, tokenise

Votes = npt.NDArray[np.int32]

# Hashes turned into bits at once: 64 bytes each.
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
    """What must be equal besides the simhash's distance: all tokens of a short text, the numbers of a longer one.

    A text is short below `short_tokens` words: in scripts whose tokens are smaller than words, that takes more tokens.
    The label of the response counts too: the good and the bad response to one question are two pieces of evidence.
    """
    label = "" if desirable is None else f"desirable {desirable} "
    if len(tokens) < short_tokens or sixths(tokens).sum() < short_tokens * WORD:
        return digest(f"{label}tokens " + " ".join(tokens))
    numbers = [token for token in tokens if is_number(token)] if numbers_distinguish else []
    return digest(f"{label}numbers " + " ".join(numbers))


class Fillers:
    """Takes phrases of politeness off the start and the end of a text's tokens.

    At the end a phrase stays where a colon or a quotation mark stands before it (`Translate into French: thank you`),
    and nothing is taken off when nothing would be left.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        tokens = {tuple(tokenise(phrase)) for phrase in phrases} - {()}
        self._phrases = sorted(tokens, key=len, reverse=True)
        self._firsts = {phrase[0] for phrase in tokens}
        self._lasts = {phrase[-1] for phrase in tokens}

    def strip(self, tokens: list[str], text: str) -> list[str]:
        """The tokens of `text` that count."""
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
