"""The face of every kind of check."""

from typing import Protocol

from components.shared.rows import Check


class Checker(Protocol):
    """Tells right answers from wrong ones, and equal from different ones. Used from several threads.

    `question` is what was asked, for checks that read a reply by it: the choices that it lists, the function that it
    begins. Reasoning in tags is no part of an answer, and a response that broke off in its reasoning gives none.
    """

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether a response gives the right answer."""
        ...

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses give the same answer, right or wrong."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...
