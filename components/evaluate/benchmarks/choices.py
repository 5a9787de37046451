"""What the multiple-choice benchmarks have in common."""

from collections.abc import Callable, Sequence

from components.evaluate.benchmarks.benchmark import Shot
from components.rewards.choices.read_choice import LETTERS, read_choice
from components.shared.rows import Question


def listed(question: Question, mark: str = ". ") -> str:
    """The choices, one on a line, with their letters."""
    return "\n".join(f"{letter}{mark}{text}" for letter, text in zip(LETTERS, question.choices, strict=False))


def score_choice(question: Question, reply: str) -> float:
    """1 when the reply chooses the answer's letter."""
    return float(read_choice(reply, question.choices) == question.answer.strip().upper())


def shots_of(prompt: Callable[[Question], str]) -> Callable[[str, Sequence[Question]], list[Shot]]:
    """Worked examples made of a subject's `dev` questions."""

    def shots(subject: str, dev: Sequence[Question]) -> list[Shot]:
        return [(prompt(question), question.answer) for question in dev]

    return shots
