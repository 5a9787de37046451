"""Finds instructions that overlap an evaluation set, with the matched passage and its weight as evidence.

A question of at least n words (13, as for GPT-3: Brown et al. 2020, appendix C) becomes a candidate when a row holds a
run of 8 of them; a run in more than `common` questions is boilerplate. Then all its words are compared: those in a run
of 5 that the row holds too are covered, so an edited word costs little more than itself. Each word weighs by how few
questions hold it (`questions.py`): the stem of a template says little about the question that was copied. The row
overlaps when what is covered weighs at least `share` of the question (0.7, as PaLM counts 8-grams: Chowdhery et al.
2022, section 8), or as much as `passage` words that no other question has (50, the length of an exact copy in Lee et
al. 2022).

A shorter question counts when the row holds all of it in one piece, and not cut out of a longer list of numbers
(`Sort 3, 9, 1` in `Sort 3, 9, 1, 7`). Of a shorter multiple-choice question the stem alone says little (`Which of the
following is true?`), so its right choice, or two of its choices, have to be in the row too; so it is for a longer
one that has no words of its own. A question with very few words, or one that many other questions begin
or end with, counts only when it is the whole instruction.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from components.curate.questions import Tokens, Weights, count_kinds, read_questions
from components.curate.run_index import RunIndex
from components.curate.runs import Sequences
from components.curate.scripts import WORD, Sixths, sixths
from components.curate.settings import OVERLAP_PASSAGE, OVERLAP_RUN, OVERLAP_SHARE
from components.curate.tokens import Hashes, Mask, Positions, TokenBatch, TokenHasher, is_number, spell, tokenise
from components.shared.rows import Question

PASSAGE_TOKENS = 80
CONTINUES = frozenset("+-*/×÷^=")
# Words in a run that covers them once a question is a candidate; shorter ones are shared by chance.
SHORT_RUN = 5
# Questions compared with one text: those with which it shares the most runs.
MOST_CANDIDATES = 8


@dataclass(frozen=True)
class Overlap:
    """The question that a row overlaps (`BENCHMARK/ID`), and the passage they share, in normalised tokens.

    `share` is that of the question's weight that the row holds, `words` the weight itself, in words that no other
    question has.
    """

    question: str
    passage: str
    share: float
    words: float

    @property
    def evidence(self) -> str:
        """As it is in a dropped row; a part of a question comes with what it weighs."""
        weight = f" [{self.share:.0%} of the question's weight, {self.words:.1f} words]" if self.share < 1 else ""
        return f"{self.question}: {self.passage}{weight}"


class _Text(NamedTuple):
    """One text of a row, what is asked or its response, as arrays and as tokens."""

    hashes: Hashes
    sixths: Sixths
    tokens: Tokens
    asked: bool
    row: tuple[Tokens, Tokens]

    def padded(self) -> str:
        """All of the row's tokens."""
        return f" {' '.join(self.row[0])} {' '.join(self.row[1])} "


class OverlapIndex:
    """The questions' runs of words, by hash.

    Args:
        questions: those that training data may not overlap.
        longest: n, the words of a longer question, which is compared word by word.
        minimum: a question with fewer words counts only as a whole instruction.
        common: runs in more questions than this weigh nothing.
        run: the words of a run that makes a longer question a candidate.
        share: of a longer question's weight, from which a row overlaps it.
        passage: words of weight, from which a row overlaps a longer question whatever their share.
    """

    def __init__(
        self,
        questions: Iterable[Question],
        longest: int,
        minimum: int,
        common: int,
        *,
        run: int = OVERLAP_RUN,
        share: float = OVERLAP_SHARE,
        passage: float = OVERLAP_PASSAGE,
    ) -> None:
        self._longest, self._minimum, self._run = longest, minimum, min(run, longest)
        self._share, self._passage = share, passage
        self._hasher = TokenHasher()
        self._questions = read_questions(questions, self._run, common, self._hasher)
        self._words = self._questions.words()
        self._long = self._index_long(common)
        self._short = self._index_short()
        self._boilerplate = self._find_boilerplate(common)

    def __len__(self) -> int:
        return len(self._questions.names)

    def search(self, rows: Sequence[tuple[Tokens, Tokens]]) -> dict[int, Overlap]:
        """The rows that overlap a question: row number to evidence. A row is what is asked and its response."""
        texts = [tokens for row in rows for tokens in row]
        batch = self._hasher.batch(texts)
        shares = np.concatenate([np.zeros(0, np.int64), *(sixths(tokens) for tokens in texts)])
        found: dict[int, Overlap] = {}
        for number, overlap in self._search(batch, shares, texts, rows):
            best = found.get(number)
            if best is None or (overlap.share, overlap.words) > (best.share, best.words):
                found[number] = overlap
        return found

    def _search(
        self, batch: TokenBatch, shares: Sixths, texts: Sequence[Tokens], rows: Sequence[tuple[Tokens, Tokens]]
    ) -> Iterator[tuple[int, Overlap]]:
        def text(number: int) -> _Text:
            part = slice(int(batch.starts[number]), int(batch.starts[number] + batch.lengths[number]))
            row = rows[number // 2]
            return _Text(batch.hashes[part], shares[part], texts[number], number % 2 == 0, row)

        sequences, owners = Sequences(batch.hashes, shares, batch.left()), batch.texts()
        for number, question in self._candidates(sequences, owners):
            if (overlap := self._compare(text(number), question)) is not None:
                yield number // 2, overlap
        for tokens, index in self._short.items():
            runs = sequences.of_tokens(tokens)
            for place in index.hits(runs).tolist():
                number = int(owners[place])
                start = place - int(batch.starts[number])
                overlap = self._match(text(number), start, tokens, runs.hashes[place : place + 1])
                if overlap is not None:
                    yield number // 2, overlap

    def _candidates(self, sequences: Sequences, owners: Positions) -> Iterator[tuple[int, int]]:
        """Texts and the longer questions with which each shares runs of words, at most MOST_CANDIDATES for a text."""
        if not len(self._long.hashes):
            return
        runs = sequences.of_words(self._run)
        hits = self._long.hits(runs)
        questions, places = self._long.owners(runs.hashes[hits])
        pairs, counts = np.unique(np.stack([owners[hits][places], questions]), axis=1, return_counts=True)
        taken: dict[int, int] = {}
        for place in np.lexsort((pairs[1], -counts, pairs[0])).tolist():
            number, question = int(pairs[0][place]), int(pairs[1][place])
            taken[number] = taken.get(number, 0) + 1
            if taken[number] <= MOST_CANDIDATES:
                yield number, question

    def _compare(self, text: _Text, question: int) -> Overlap | None:
        """Whether a text holds enough of a longer question."""
        part = self._questions.part(question)
        weights = self._questions.weights[part]
        covered = _covered(self._questions.batch.hashes[part], self._questions.sixths[part], text)
        words, total = float(weights[covered].sum()), float(weights.sum())
        choices = self._questions.choices.get(question)
        if choices is not None and not self._questions.own[part].any():
            fits = bool(covered.all()) and choices.are_in(text.padded())
        else:
            fits = words > 0 and (words >= self._share * total or words >= self._passage)
        if not fits:
            return None
        tokens = tokenise(self._questions.texts[question])
        passage = spell(tokens[_heaviest(covered, weights)][:PASSAGE_TOKENS])
        return Overlap(self._questions.names[question], passage, words / total if total else 1.0, words)

    def _match(self, text: _Text, start: int, tokens: int, value: Hashes) -> Overlap | None:
        """The shorter question that the run of tokens from `start` is, if any."""
        whole = text.asked and len(text.tokens) == tokens
        words = float(text.sixths[start : start + tokens].sum()) / WORD
        if not whole and (words < self._minimum or int(value[0]) in self._boilerplate):
            return None
        if _is_cut(text.tokens, start, start + tokens):
            return None
        choices, padded = self._questions.choices, text.padded()
        owners = self._short[tokens].owners(value)[0].tolist()
        fits = (each for each in owners if each not in choices or choices[each].are_in(padded))
        question = next(fits, None)
        if question is None:
            return None
        return Overlap(self._questions.names[question], spell(text.tokens[start : start + tokens]), 1.0, words)

    def _index_long(self, common: int) -> RunIndex:
        """The runs of words of questions with n words or more."""
        runs, owners = self._questions.runs, self._questions.batch.texts()
        chosen = runs.valid & (self._questions.held <= common) & (self._words[owners] >= self._longest)
        return RunIndex.of(runs.hashes[chosen], owners[chosen])

    def _index_short(self) -> dict[int, RunIndex]:
        """Questions with fewer than n words, whole, by their number of tokens."""
        batch = self._questions.batch
        sequences = Sequences(batch.hashes, self._questions.sixths, batch.left())
        short = (self._words < self._longest) & (batch.lengths > 0)
        indexes = {}
        for tokens in np.unique(batch.lengths[short]).tolist():
            questions = np.flatnonzero(short & (batch.lengths == tokens))
            indexes[tokens] = RunIndex.of(sequences.of_tokens(tokens).hashes[batch.starts[questions]], questions)
        return indexes

    def _find_boilerplate(self, common: int) -> frozenset[int]:
        """Hashes of shorter questions that are part of more than `common` different questions."""
        batch = self._questions.batch
        sequences = Sequences(batch.hashes, self._questions.sixths, batch.left())
        kinds = self._questions.kinds[batch.texts()]
        found: set[int] = set()
        for tokens, index in self._short.items():
            runs = sequences.of_tokens(tokens)
            hits = index.hits(runs)
            found.update(runs.hashes[hits][count_kinds(runs.hashes[hits], kinds[hits]) > common].tolist())
        return frozenset(found)


def _covered(hashes: Hashes, shares: Sixths, text: _Text) -> Mask:
    """[tokens] Which of a question's tokens are in short runs that the text holds too."""
    ours = Sequences(hashes, shares, len(hashes) - np.arange(len(hashes))).of_words(SHORT_RUN)
    theirs = Sequences(text.hashes, text.sixths, len(text.hashes) - np.arange(len(text.hashes))).of_words(SHORT_RUN)
    return ours.covered(ours.valid & np.isin(ours.hashes, theirs.hashes[theirs.valid]))


def _heaviest(covered: Mask, weights: Weights) -> slice:
    """The covered stretch that weighs the most."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]]).astype(np.int8)))
    stretches = [slice(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]
    return max(stretches, key=lambda stretch: (float(weights[stretch].sum()), stretch.stop - stretch.start))


def _is_cut(tokens: Tokens, start: int, end: int) -> bool:
    """Whether the passage was cut out of a longer sum or list of numbers."""
    return _goes_on(tokens, end - 1, end) or _goes_on(tokens, start, start - 1)


def _goes_on(tokens: Tokens, inside: int, outside: int) -> bool:
    if not 0 <= outside < len(tokens):
        return False
    near = tokens[outside]
    return near in CONTINUES or (is_number(near) and is_number(tokens[inside]))
