"""Finds instructions that overlap an evaluation set, with the matched passage as evidence.

A row overlaps a question of at least n tokens when they share a run of n tokens (n = 13 as for GPT-3, Brown et al.
2020, appendix C). Runs that stand in more than a set number of questions are boilerplate and count nothing.

A shorter question counts when all of it stands in the row in one piece, and not cut out of a longer list of numbers
(`Sort 3, 9, 1` in `Sort 3, 9, 1, 7`). Of a shorter multiple-choice question the stem alone says little (`Which of the
following is true?`), so its right choice, or two of its choices, have to stand in the row too. A question with very
few tokens counts only when it is the whole instruction.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.curate.tokens import (
    Hashes,
    Mask,
    Positions,
    TokenBatch,
    TokenHasher,
    grams,
    is_number,
    spell,
    tokenise,
)
from components.shared.rows import Question

Tokens = Sequence[str]
QUESTIONS_AT_ONCE = 5_000
SIEVE_BITS = 24
PASSAGE_TOKENS = 80
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CONTINUES = frozenset("+-*/×÷^=")


@dataclass(frozen=True)
class Overlap:
    """The question that a row overlaps (`BENCHMARK/ID`), and the passage they share, in normalised tokens."""

    question: str
    passage: str

    @property
    def evidence(self) -> str:
        """As it stands in a dropped row."""
        return f"{self.question}: {self.passage}"


@dataclass(frozen=True)
class _Choices:
    """The choices of a short multiple-choice question as padded token texts, and the right one where it is known."""

    texts: tuple[str, ...]
    right: str | None

    def stand_in(self, text: str) -> bool:
        """Whether the right choice or two choices stand in the padded token text."""
        if self.right is not None and self.right in text:
            return True
        return sum(choice in text for choice in self.texts) >= 2


@dataclass(frozen=True)
class _Grams:
    """Sorted hashes of runs of one length, with the question that each is of; one hash may stand several times."""

    hashes: Hashes
    questions: npt.NDArray[np.int32]

    def owners(self, value: np.uint64) -> list[int]:
        """The questions of one hash."""
        first, last = np.searchsorted(self.hashes, value, "left"), np.searchsorted(self.hashes, value, "right")
        owners: list[int] = self.questions[first:last].tolist()
        return owners

    def contain(self, values: Hashes) -> Mask:
        """Which of the values there are."""
        at = np.minimum(np.searchsorted(self.hashes, values), len(self.hashes) - 1)
        return self.hashes[at] == values


class OverlapIndex:
    """The questions' runs of tokens, by hash.

    Args:
        questions: those that training data may not overlap.
        longest: n, the tokens of a run that counts.
        minimum: a question with fewer tokens counts only as a whole instruction.
        common: runs in more questions than this count nothing.
    """

    def __init__(self, questions: Iterable[Question], longest: int, minimum: int, common: int) -> None:
        self._longest, self._minimum = longest, minimum
        self._hasher = TokenHasher()
        self._names: list[str] = []
        self._choices: dict[int, _Choices] = {}
        pieces: dict[int, list[tuple[Hashes, Positions]]] = {}
        for number, batch in enumerate(_batches(questions)):
            self._add(batch, number * QUESTIONS_AT_ONCE, pieces)
        self._grams = {n: _sorted_grams(found, common if n == longest else None) for n, found in pieces.items()}
        self._grams = {n: found for n, found in self._grams.items() if len(found.hashes)}
        # A run whose hash has an empty place here is of no question: most are told at once.
        self._sieve = np.zeros(1 << SIEVE_BITS, bool)
        for found in self._grams.values():
            self._sieve[found.hashes >> np.uint64(64 - SIEVE_BITS)] = True

    def __len__(self) -> int:
        return len(self._names)

    def search(self, rows: Sequence[tuple[Tokens, Tokens]]) -> dict[int, Overlap]:
        """The rows that overlap a question: row number to evidence. A row is what is asked and its response."""
        texts = [tokens for row in rows for tokens in row]
        found: dict[int, Overlap] = {}
        batch = self._hasher.batch(texts)
        owners = batch.texts()
        for n, hashes, valid in grams(batch, max(self._grams, default=0)):
            if n not in self._grams:
                continue
            hits = np.flatnonzero(valid & self._sieve[hashes >> np.uint64(64 - SIEVE_BITS)])
            hits = hits[self._grams[n].contain(hashes[hits])]
            for position in hits.tolist():
                text = int(owners[position])
                if text // 2 not in found:
                    at = position - int(batch.starts[text])
                    match = self._match(n, hashes[position], at, rows[text // 2], asked=text % 2 == 0)
                    if match is not None:
                        end = at + _run_length(hits, position, n)
                        found[text // 2] = Overlap(match, spell(texts[text][at : min(end, at + PASSAGE_TOKENS)]))
        return found

    def _match(self, n: int, value: np.uint64, at: int, row: tuple[Tokens, Tokens], asked: bool) -> str | None:
        """The question that the run of n tokens from `at` stands for, if any."""
        tokens = row[0] if asked else row[1]
        owners = self._grams[n].owners(value)
        if n == self._longest:
            return self._names[owners[0]]
        if n < self._minimum and not (asked and len(tokens) == n):
            return None
        if _is_cut(tokens, at, at + n):
            return None
        text = f" {' '.join(row[0])} {' '.join(row[1])} "
        fits = (q for q in owners if q not in self._choices or self._choices[q].stand_in(text))
        question = next(fits, None)
        return None if question is None else self._names[question]

    def _add(self, questions: list[Question], first: int, pieces: dict[int, list[tuple[Hashes, Positions]]]) -> None:
        texts = [tokenise(question.question) for question in questions]
        for number, (question, tokens) in enumerate(zip(questions, texts, strict=True), start=first):
            self._names.append(_name(question))
            if question.choices and len(tokens) < self._longest:
                self._choices[number] = _choices_of(question)
        batch = self._hasher.batch(texts)
        owners = batch.texts()
        for n, hashes, valid in grams(batch, self._longest):
            whole = valid if n == self._longest else valid & _starts_of(batch, n)
            if whole.any():
                pieces.setdefault(n, []).append((hashes[whole], owners[whole] + first))


def _batches(questions: Iterable[Question]) -> Iterator[list[Question]]:
    batch: list[Question] = []
    for question in questions:
        batch.append(question)
        if len(batch) == QUESTIONS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _starts_of(batch: TokenBatch, n: int) -> Mask:
    """[tokens] Where a text of exactly n tokens begins."""
    begins = np.zeros(len(batch.hashes), bool)
    begins[batch.starts[batch.lengths == n]] = True
    return begins


def _name(question: Question) -> str:
    prefix = f"{question.benchmark}/"
    return question.id if question.id.startswith(prefix) else prefix + question.id


def _choices_of(question: Question) -> _Choices:
    texts = tuple(f" {' '.join(tokenise(choice))} " for choice in question.choices)
    place = LETTERS.find(question.answer.strip().upper()) if len(question.answer.strip()) == 1 else -1
    right = texts[place] if 0 <= place < len(texts) and texts[place].strip() else None
    return _Choices(texts=tuple(text for text in dict.fromkeys(texts) if text.strip()), right=right)


def _sorted_grams(pieces: list[tuple[Hashes, Positions]], common: int | None) -> _Grams:
    """All runs of one length, without those that stand in more than `common` questions."""
    hashes = np.concatenate([piece[0] for piece in pieces])
    questions = np.concatenate([piece[1] for piece in pieces])
    order = np.lexsort((questions, hashes))
    hashes, questions = hashes[order], questions[order]
    new = np.ones(len(hashes), bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (questions[1:] != questions[:-1])
    hashes, questions = hashes[new], questions[new]
    if common is not None:
        _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
        rare = sizes[group] <= common
        hashes, questions = hashes[rare], questions[rare]
    return _Grams(hashes=hashes, questions=questions.astype(np.int32))


def _run_length(hits: Positions, position: int, n: int) -> int:
    """Tokens from `position` that are covered by runs of n tokens which begin one after the other."""
    following = hits[np.searchsorted(hits, position) :]
    more = int(np.argmin(np.append(following == position + np.arange(len(following)), False)))
    return more - 1 + n


def _is_cut(tokens: Tokens, start: int, end: int) -> bool:
    """Whether the passage was cut out of a longer sum or list of numbers."""
    return _goes_on(tokens, end - 1, end) or _goes_on(tokens, start, start - 1)


def _goes_on(tokens: Tokens, inside: int, outside: int) -> bool:
    if not 0 <= outside < len(tokens):
        return False
    near = tokens[outside]
    return near in CONTINUES or (is_number(near) and is_number(tokens[inside]))
