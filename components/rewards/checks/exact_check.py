"""Checks answers that are compared as text."""

import unicodedata

from components.rewards.checks.checker import Checker
from components.shared.rows import Check
from components.shared.thought import answer_of

OPENING = frozenset("\"'`*_")
CLOSING = frozenset("\"'`*_.,;:!?…。，、；：！？")
OPENING_CATEGORIES, CLOSING_CATEGORIES = ("Ps", "Pi"), ("Pe", "Pf")
"""Unicode's categories of brackets and quotation marks."""


class ExactChecker(Checker):
    """Compares text without surrounding whitespace: with the reference as the check says, two responses with case."""

    metric = "exact_match"

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether the response is the reference answer; case counts unless the check ignores it."""
        answer, reference = answer_of(text).strip(), check.answer.strip()
        if check.ignore_case:
            answer, reference = answer.casefold(), reference.casefold()
        if check.ignore_punctuation:
            answer, reference = bare_words(answer), bare_words(reference)
        return answer == reference != ""

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses are equal; case counts, since it may be what the instruction asks for."""
        return answer_of(first).strip() == answer_of(second).strip() != ""


def bare_words(text: str) -> str:
    """The words without the quotation marks, brackets and punctuation around them; `-5`, `3.5` and `$5` stay whole.

    A text that has nothing else is returned as it is.
    """
    words = [_bare(word) for word in text.split()]
    return " ".join(word for word in words if word) or text


def _bare(word: str) -> str:
    first, last = 0, len(word)
    while first < last and (word[first] in OPENING or unicodedata.category(word[first]) in OPENING_CATEGORIES):
        first += 1
    while last > first and (word[last - 1] in CLOSING or unicodedata.category(word[last - 1]) in CLOSING_CATEGORIES):
        last -= 1
    return word[first:last]
