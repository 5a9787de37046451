"""Find instructions that overlap an evaluation set, with the matched passage and its weight as evidence.

A question of at least n words (13, as for GPT-3: Brown et al. 2020, appendix C) is a candidate if a row has a run of 8
of them; a run in more than `common` questions is boilerplate. Then all its words are compared: those in a run of 5
that is also in the row are covered, so that an edit uncovers few words. A word has more weight the fewer questions
contain it (`questions.py`): the stem of a template says little about which question was copied. The row overlaps when
the covered words have at least the share `overlap_share` of the question's weight (0.7, as PaLM counts 8-grams:
Chowdhery et al. 2022, section 8), or the weight of `overlap_passage` unique words (50, the length of an exact copy in
Lee et al. 2022).

A shorter question counts when the row contains all of it in one piece, unless it is part of a longer list of numbers
(`Sort 3, 9, 1` in `Sort 3, 9, 1, 7`). The stem of a shorter multiple-choice question says little (`Which of the
following is true?`), so the row must also contain its right choice, or two of its choices; the same holds for a longer
question without unique words. A question of very few words, or one that is part of many other questions, counts only
if it is the complete instruction.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from components.curate.overlap.questions import TextTokens, WordWeights, count_kinds, read_questions
from components.curate.overlap.run_index import RunIndex
from components.curate.overlap.settings import OverlapSettings
from components.curate.text.runs import Sequences
from components.curate.text.token_hashes import Hashes, Mask, Positions, TokenBatch, TokenHasher
from components.shared.rows import Question
from components.shared.text.scripts import WORD, Sixths, sixths
from components.shared.text.words import is_number, spell, tokenise

PASSAGE_TOKENS = 80
CONTINUES = frozenset("+-*/×÷^=")
# Length of the runs that cover a candidate's words; shorter runs match by chance.
SHORT_RUN = 5
# Largest number of questions compared with a text: those that share the most runs with it.
MOST_CANDIDATES = 8


@dataclass(frozen=True)
class Overlap:
    """The question that a row overlaps (`BENCHMARK/ID`), and the passage they share, in normalised tokens.

    `share` is the covered part of the question's weight, 0 to 1; `words` is the covered weight, in unique words.
    """

    question: str
    passage: str
    share: float
    words: float

    @property
    def evidence(self) -> str:
        """The text for a dropped row; with the weight unless the question is complete."""
        weight = f" [{self.share:.0%} of the question's weight, {self.words:.1f} words]" if self.share < 1 else ""
        return f"{self.question}: {self.passage}{weight}"


class _Text(NamedTuple):
    """One text of a row, the conversation or the response, as arrays and as tokens."""

    hashes: Hashes
    sixths: Sixths
    tokens: TextTokens
    asked: bool
    row: tuple[TextTokens, TextTokens]

    def padded(self) -> str:
        """All of the row's tokens."""
        return f" {' '.join(self.row[0])} {' '.join(self.row[1])} "


class OverlapIndex:
    """Finds the question that a row overlaps, by hashes of runs of words.

    Args:
        questions: those that training data must not overlap.
        settings: when a row counts as overlapping one of them.
    """

    def __init__(self, questions: Iterable[Question], settings: OverlapSettings) -> None:
        self._longest, self._minimum = settings.overlap_tokens, settings.overlap_minimum_tokens
        self._run = min(settings.overlap_run, self._longest)
        self._share, self._passage = settings.overlap_share, settings.overlap_passage
        common = settings.overlap_common
        self._hasher = TokenHasher()
        self._questions = read_questions(questions, self._run, common, self._hasher)
        self._words = self._questions.words()
        self._long = self._index_long(common)
        self._short = self._index_short()
        self._boilerplate = self._find_boilerplate(common)

    def __len__(self) -> int:
        return len(self._questions.names)

    def search(self, rows: Sequence[tuple[TextTokens, TextTokens]]) -> dict[int, Overlap]:
        """The rows that overlap a question: from row number to overlap. A row is its conversation and its response."""
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
        self,
        batch: TokenBatch,
        shares: Sixths,
        texts: Sequence[TextTokens],
        rows: Sequence[tuple[TextTokens, TextTokens]],
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
        """Texts and the longer questions that share runs of words with them, at most MOST_CANDIDATES for a text."""
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
        """The overlap of a text with a longer question, None if the text contains too little of it."""
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
        """The overlap with a shorter question that equals the run of tokens from `start`, if any."""
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
        """Complete questions with fewer than n words, by their number of tokens."""
        batch = self._questions.batch
        sequences = Sequences(batch.hashes, self._questions.sixths, batch.left())
        short = (self._words < self._longest) & (batch.lengths > 0)
        indexes = {}
        for tokens in np.unique(batch.lengths[short]).tolist():
            questions = np.flatnonzero(short & (batch.lengths == tokens))
            indexes[tokens] = RunIndex.of(sequences.of_tokens(tokens).hashes[batch.starts[questions]], questions)
        return indexes

    def _find_boilerplate(self, common: int) -> frozenset[int]:
        """Hashes of shorter questions that are part of more than `common` distinct questions."""
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


def _heaviest(covered: Mask, weights: WordWeights) -> slice:
    """The covered stretch with the largest weight."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]]).astype(np.int8)))
    stretches = [slice(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]
    return max(stretches, key=lambda stretch: (float(weights[stretch].sum()), stretch.stop - stretch.start))


def _is_cut(tokens: TextTokens, start: int, end: int) -> bool:
    """Whether the passage is part of a longer sum or list of numbers."""
    return _goes_on(tokens, end - 1, end) or _goes_on(tokens, start, start - 1)


def _goes_on(tokens: TextTokens, inside: int, outside: int) -> bool:
    if not 0 <= outside < len(tokens):
        return False
    near = tokens[outside]
    return near in CONTINUES or (is_number(near) and is_number(tokens[inside]))
