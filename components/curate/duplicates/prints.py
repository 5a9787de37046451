"""What is compared for near-duplicates: the simhash and the guard of instructions and of evaluation questions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from components.curate.duplicates.simhash import Fillers, guard, simhashes
from components.curate.overlap.questions import name_of
from components.curate.settings import CurateSettings
from components.curate.text.token_hashes import Hashes, TokenHasher
from components.shared.rows import Message, Question
from components.shared.text.words import tokenise

QUESTIONS_AT_ONCE = 5_000
LABELS = (None, True, False)
"""The labels that a response may have: a row's guard depends on it, and a question overlaps rows with any."""


def asked_text(history: Sequence[Message], instruction: str) -> str:
    """The conversation up to the answer, without the system message."""
    return "\n".join([*(message.content for message in history), instruction])


class Printer:
    """Turns texts into simhashes and guards."""

    def __init__(self, settings: CurateSettings) -> None:
        self._settings = settings
        self._fillers, self._hasher = Fillers(settings.fillers), TokenHasher()

    def counted(self, asked: list[str], text: str, system: str) -> list[str]:
        """The tokens that are compared, of those (`asked`) of a text: without polite phrases at its ends."""
        counted = self._fillers.strip(asked, text)
        return [*tokenise(system), *counted] if self._settings.system_counts and system else counted

    def hashes(self, texts: Sequence[Sequence[str]]) -> list[int]:
        """The simhashes of texts."""
        found: list[int] = simhashes(self._hasher.batch(texts), self._settings.shingle).tolist()
        return found

    def guard(self, tokens: Sequence[str], label: bool | None) -> int:
        """The number that must be equal too."""
        return guard(tokens, self._settings.short_tokens, self._settings.numbers_distinguish, label)


@dataclass
class QuestionPrints:
    """The prints of evaluation questions: names (`BENCHMARK/ID`), simhashes and guards, one for each label."""

    names: list[str] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    guards: list[int] = field(default_factory=list)

    def arrays(self) -> tuple[Hashes, Hashes]:
        """Simhashes and guards as arrays."""
        return np.array(self.values, np.uint64), np.array(self.guards, np.uint64)


def print_questions(questions: Iterable[Question], settings: CurateSettings) -> QuestionPrints:
    """The prints of questions, compared as instructions are."""
    printer, prints = Printer(settings), QuestionPrints()
    texts: list[list[str]] = []
    for question in questions:
        text = asked_text(question.history, question.question)
        counted = printer.counted(tokenise(text), text, question.system)
        if not counted:
            continue
        texts.append(counted)
        prints.names += [name_of(question)] * len(LABELS)
        prints.guards += [printer.guard(counted, label) for label in LABELS]
        if len(texts) == QUESTIONS_AT_ONCE:
            prints.values += _repeated(printer.hashes(texts))
            texts = []
    prints.values += _repeated(printer.hashes(texts))
    return prints


def _repeated(values: Iterable[int]) -> list[int]:
    return [value for value in values for _ in LABELS]
