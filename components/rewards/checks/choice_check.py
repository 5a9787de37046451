"""Answers to multiple-choice questions, compared by their letter."""

from components.rewards.choices.read_choice import LETTERS, listed_choices, read_choice
from components.shared.rows import Check


class ChoiceChecker:
    """Right is the letter of the answer."""

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether the response chooses the right letter."""
        right, choices = read_choice(check.answer), listed_choices(question)
        if right not in LETTERS[: len(choices)]:
            choices = ()  # the question lists them in a way of its own
        return bool(right) and read_choice(text, choices) == right

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses choose one letter."""
        choices = listed_choices(question)
        letter = read_choice(first, choices)
        return bool(letter) and read_choice(second, choices) == letter

    def close(self) -> None:
        """Nothing is held."""
