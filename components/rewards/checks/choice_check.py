"""Checks answers to multiple-choice questions by their letter."""

import re

from components.rewards.checks.checker import Checker
from components.rewards.choices.read_choice import LETTERS, listed_choices, read_choice
from components.shared.rows import Check

LETTER = re.compile(r"^\W*([A-Z])\W*$")


class ChoiceChecker(Checker):
    """A response is right when it chooses the letter of the answer."""

    metric = "choice_match"

    @classmethod
    def parse_reference(cls, answer: str) -> str:
        """The letter of a reference answer such as `(b)`; empty when it is not a single letter."""
        letter = LETTER.match(answer.upper())
        return letter[1] if letter else ""

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether the response chooses the right letter."""
        right, choices = read_choice(check.answer), listed_choices(question)
        if right not in LETTERS[: len(choices)]:
            choices = ()  # the question lists its choices in an unknown form
        return bool(right) and read_choice(text, choices) == right

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses choose the same letter."""
        choices = listed_choices(question)
        letter = read_choice(first, choices)
        return bool(letter) and read_choice(second, choices) == letter
