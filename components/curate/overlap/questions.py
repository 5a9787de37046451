"""The words of evaluation questions, weighted by how specific each is to its question.

A run of words in many questions is a template's stem (`Read the passage and choose the right answer`) or a shared
passage, and says little about which question was copied. So a word has the weight 1 / k², where k is the number of
distinct questions with its run: an inverse document frequency, squared as in the cosine of tf-idf vectors. In more than
`common` questions it is boilerplate with weight 0. Repeated questions count once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.curate.text.runs import Runs, Sequences
from components.curate.text.token_hashes import Hashes, Mask, Positions, TokenBatch, TokenHasher
from components.shared.outputs.digest import hash_text
from components.shared.rows import Question
from components.shared.text.scripts import WORD, Sixths, sixths
from components.shared.text.words import tokenise

TextTokens = Sequence[str]
WordWeights = npt.NDArray[np.float64]
QUESTIONS_AT_ONCE = 5_000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Choices:
    """The choices of a multiple-choice question as padded token texts, and the right one if known."""

    texts: tuple[str, ...]
    right: str | None

    @classmethod
    def of(cls, question: Question) -> "Choices":
        """A question's choices; those without tokens are left out."""
        texts = tuple(f" {' '.join(tokenise(choice))} " for choice in question.choices)
        place = LETTERS.find(question.answer.strip().upper()) if len(question.answer.strip()) == 1 else -1
        right = texts[place] if 0 <= place < len(texts) and texts[place].strip() else None
        return cls(texts=tuple(text for text in dict.fromkeys(texts) if text.strip()), right=right)

    def are_in(self, text: str) -> bool:
        """Whether the padded token text contains the right choice, or two choices."""
        if self.right is not None and self.right in text:
            return True
        return sum(choice in text for choice in self.texts) >= 2


@dataclass(frozen=True)
class QuestionWords:
    """The tokens of all questions as one flat array, and their weights.

    `kinds` [questions] is equal for equal questions. By token: `batch` holds the hashes, `sixths` the lengths, `runs`
    the runs of words, `held` the number of distinct questions with the run that begins there, `own` whether all runs
    with the token are unique to its question, and `weights` its length in words times 1 / k².
    """

    names: list[str]
    texts: list[str]
    kinds: Hashes
    choices: dict[int, Choices]
    batch: TokenBatch
    sixths: Sixths
    runs: Runs
    held: Positions
    own: Mask
    weights: WordWeights

    def part(self, question: int) -> slice:
        """Where a question's tokens are."""
        start = int(self.batch.starts[question])
        return slice(start, start + int(self.batch.lengths[question]))

    def words(self) -> WordWeights:
        """[questions] The number of words of each question."""
        owners = self.batch.texts()
        return np.bincount(owners, weights=self.sixths, minlength=len(self.names)) / WORD


def read_questions(questions: Iterable[Question], words: int, common: int, hasher: TokenHasher) -> QuestionWords:
    """Read questions into arrays.

    Args:
        questions: to read.
        words: the length of a run.
        common: a run in more questions than this has weight 0.
        hasher: hashes the tokens.
    """
    reader = _Reader(hasher)
    for many in _batches(questions):
        reader.take(many)
    batch, sixths_of = reader.batch(), np.concatenate([np.zeros(0, np.int64), *reader.sixths])
    runs = Sequences(batch.hashes, sixths_of, batch.left()).of_words(words)
    kinds = np.array(reader.kinds, np.uint64)
    held = _held(runs, kinds[batch.texts()])
    most = _most_held(runs, held)
    return QuestionWords(
        names=reader.names,
        texts=reader.texts,
        kinds=kinds,
        choices=reader.choices,
        batch=batch,
        sixths=sixths_of,
        runs=runs,
        held=held,
        own=most == 1,
        weights=np.where(most > common, 0.0, sixths_of / WORD / most.astype(np.float64) ** 2),
    )


class _Reader:
    """Collects the properties of each question; `kinds` are equal for equal questions."""

    def __init__(self, hasher: TokenHasher) -> None:
        self._hasher = hasher
        self.names: list[str] = []
        self.texts: list[str] = []
        self.choices: dict[int, Choices] = {}
        self.kinds: list[int] = []
        self.sixths: list[Sixths] = []
        self._batches: list[TokenBatch] = []

    def take(self, questions: Sequence[Question]) -> None:
        tokens = [tokenise(question.question) for question in questions]
        for question, each in zip(questions, tokens, strict=True):
            choices = Choices.of(question)
            if question.choices:
                self.choices[len(self.names)] = choices
            self.names.append(name_of(question))
            self.texts.append(question.question)
            self.kinds.append(hash_text("\n".join([" ".join(each), *choices.texts])))
            self.sixths.append(sixths(each))
        self._batches.append(self._hasher.batch(tokens))

    def batch(self) -> TokenBatch:
        """All questions as one."""
        hashes = np.concatenate([np.zeros(0, np.uint64), *(batch.hashes for batch in self._batches)])
        lengths = np.concatenate([np.zeros(0, np.int64), *(batch.lengths for batch in self._batches)])
        return TokenBatch(hashes=hashes, starts=np.cumsum(lengths) - lengths, lengths=lengths)


def _batches(questions: Iterable[Question]) -> Iterator[list[Question]]:
    batch: list[Question] = []
    for question in questions:
        batch.append(question)
        if len(batch) == QUESTIONS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def name_of(question: Question) -> str:
    """The question in evidence: `BENCHMARK/ID`."""
    prefix = f"{question.benchmark}/"
    return question.id if question.id.startswith(prefix) else prefix + question.id


def _held(runs: Runs, kinds: Hashes) -> Positions:
    """[tokens] The number of distinct questions with the run that begins there; 1 without a run."""
    held = np.ones(len(runs.hashes), np.int64)
    begins = np.flatnonzero(runs.valid)
    held[begins] = count_kinds(runs.hashes[begins], kinds[begins])
    return held


def _most_held(runs: Runs, held: Positions) -> Positions:
    """[tokens] The largest number of questions over the runs that contain the token."""
    most = np.ones(len(held), np.int64)
    begins = np.flatnonzero(runs.valid)
    for offset in range(int(runs.lengths[begins].max(initial=0))):
        inside = begins[runs.lengths[begins] > offset]
        most[inside + offset] = np.maximum(most[inside + offset], held[inside])
    return most


def count_kinds(hashes: Hashes, kinds: Hashes) -> Positions:
    """For each hash, the number of distinct kinds with it."""
    order = np.lexsort((kinds, hashes))
    new_hash = np.append(True, hashes[order][1:] != hashes[order][:-1])[: len(order)]
    new_kind = new_hash | np.append(True, kinds[order][1:] != kinds[order][:-1])[: len(order)]
    group = np.cumsum(new_hash) - 1
    counts = np.empty(len(hashes), np.int64)
    counts[order] = np.bincount(group, weights=new_kind).astype(np.int64)[group]
    return counts
