"""The face of every kind of check."""

from typing import Protocol

from components.shared.rows import Check


class Checker(Protocol):
    """Tells right answers from wrong ones, and equal from different ones. Used from several threads."""

    def passes(self, check: Check, text: str) -> bool:
        """Whether a response gives the right answer."""
        ...

    def same(self, first: str, second: str) -> bool:
        """Whether two responses give the same answer, right or wrong."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...
