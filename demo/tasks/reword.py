"""Reword a question."""

import random
from collections.abc import Callable
from typing import Final

POLITE: Final = (
    "Please answer this question: {q}",
    "I have a quick question for you. {q}",
    "Can you help me with this one? {q} Thank you!",
    "Here is a short task from my homework: {q}",
    "For my quiz tonight I need to know this. {q} Keep it short.",
)


def reworded(question: str, rng: random.Random) -> str:
    """The same question in another form: case, punctuation, a line break, or a sentence around it."""
    changes: tuple[Callable[[str], str], ...] = (
        str.lower,
        lambda text: text.rstrip("?.") + rng.choice(("", "!", " ?", "...")),
        lambda text: f"Please {text[0].lower()}{text[1:]}",
        lambda text: text.replace(": ", rng.choice((":\n", ":\n\n", " :  ")), 1),
        lambda text: text.replace(" ", "  "),
        lambda text: rng.choice(POLITE).format(q=text),
    )
    return rng.choice(changes)(question)
