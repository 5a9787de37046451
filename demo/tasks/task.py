"""One question with its answer and plausible wrong answers."""

import random
from dataclasses import dataclass
from typing import Final

LABEL_PREFIX: Final = "Label: "
"""The prefix of a question that asks the teacher for its label."""


@dataclass(frozen=True, kw_only=True)
class DemoTask:
    """One question with its answer.

    `mistakes` are plausible wrong answers, the likeliest first; never empty, never equal to `answer`.
    """

    family: str
    question: str
    answer: str
    primary: str
    secondary: str
    mistakes: tuple[str, ...]

    @property
    def label(self) -> str:
        """The two-level label as the teacher writes it: `primary / secondary`."""
        return f"{self.primary} / {self.secondary}"


def make_task(label: str, question: str, answer: str, mistakes: list[str]) -> DemoTask:
    """A task of the label `primary / secondary`; mistakes that equal the answer are left out."""
    primary, secondary = label.split(" / ")
    wrong = tuple(dict.fromkeys(mistake for mistake in mistakes if mistake != answer))
    return DemoTask(
        family=secondary, question=question, answer=answer, primary=primary, secondary=secondary, mistakes=wrong
    )


def corrupted(task: DemoTask, rng: random.Random, typical: float) -> str:
    """A wrong answer to `task`: its likeliest mistake with probability `typical`, else any of its mistakes."""
    return task.mistakes[0] if rng.random() < typical else rng.choice(task.mistakes)
