"""Answers compared as text."""

from components.shared.rows import Check
from components.shared.thought import answer_of


class ExactChecker:
    """Right is the text of the answer, case and outer space aside. The same is the same text, case and all."""

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether the response is the answer."""
        return answer_of(text).strip().casefold() == check.answer.strip().casefold() != ""

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses are one text; here case counts, for it may be what was asked for."""
        return answer_of(first).strip() == answer_of(second).strip() != ""

    def close(self) -> None:
        """Nothing is held."""
