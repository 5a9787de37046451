"""What the multiple-choice benchmarks share: answered in words, and read for the letter."""

from collections.abc import Callable, Sequence

from components.evaluate.benchmarks.benchmark import Benchmark, Shot
from components.rewards.choices.read_choice import LETTERS, read_choice
from components.shared.rows import Question


def listed(question: Question, mark: str = ". ") -> str:
    """The choices with their letters, one on each line."""
    return "\n".join(f"{letter}{mark}{text}" for letter, text in zip(LETTERS, question.choices, strict=False))


def chosen(question: Question, reply: str) -> str | None:
    """The letter that a reply chooses; None where it chooses none."""
    return read_choice(reply, question.choices) or None


def score_choice(question: Question, reply: str) -> float:
    """1 when the reply chooses the answer's letter."""
    return float(read_choice(reply, question.choices) == question.answer.strip().upper())


def letter_benchmark(name: str, *, protocol: str, prompt: Callable[[Question], str], files: str) -> Benchmark:
    """A benchmark of questions with choices; worked examples are `dev` questions. The arguments are Benchmark's."""
    return Benchmark(
        name=name,
        metric="exact_match",
        protocol=protocol,
        few_shot=0,
        max_tokens=32,
        prompt=prompt,
        score=score_choice,
        answer=chosen,
        shots=shots_of(prompt),
        files=files,
    )


def shots_of(prompt: Callable[[Question], str]) -> Callable[[str, Sequence[Question]], list[Shot]]:
    """Makes worked examples from the `dev` questions of a subject."""

    def shots(subject: str, dev: Sequence[Question]) -> list[Shot]:
        return [(prompt(question), question.answer) for question in dev]

    return shots
