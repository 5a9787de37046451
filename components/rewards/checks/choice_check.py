"""Answers to multiple-choice questions, compared by their letter."""

import re

from components.shared.rows import Check

_LETTER = r"[\(（\[]?\s*([A-Ja-j])\s*[\)）\]]?"
# In falling order of how surely they name the answer; of each the last match counts.
_STATED = re.compile(
    rf"(?:answer|choice|option|答案|选项|选择?|应选|故选)\s*(?:is|are|为|是|:|：)*\s*\**{_LETTER}(?![A-Za-z'])",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^\W*([A-Ja-j])(?:[\).:、．）]|\s*$)")
_ALONE = re.compile(r"(?<![A-Za-z'])([A-J])(?![A-Za-z'])")


class ChoiceChecker:
    """Right is the letter of the answer."""

    def passes(self, check: Check, text: str) -> bool:
        """Whether the response names the right letter."""
        return bool(read_letter(text)) and read_letter(text) == read_letter(check.answer)

    def same(self, first: str, second: str) -> bool:
        """Whether two responses name one letter."""
        return bool(read_letter(first)) and read_letter(first) == read_letter(second)

    def close(self) -> None:
        """Nothing is held."""


def read_letter(text: str) -> str:
    """The letter, A to J, that a response chooses; empty when it names none.

    A stated answer (`the answer is (B)`, `答案：B`) counts before a leading letter (`B. Paris`), that before the last
    capital letter that stands alone; `A` and `I` as words are no choice there.
    """
    if stated := _STATED.findall(text):
        return str(stated[-1]).upper()
    if leading := _LEADING.match(text):
        return leading[1].upper()
    alone = [letter for letter in _ALONE.findall(text) if letter not in {"A", "I"}]
    return str(alone[-1]) if alone else ""
