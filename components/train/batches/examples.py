"""Tokenized rows, and what happened to the rows on the way."""

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from components.shared.text.counted import counted

SomeExample = TypeVar("SomeExample")
Taken_contra = TypeVar("Taken_contra", contravariant=True)


class Kept(Protocol[Taken_contra]):
    """What takes examples: a list, or what writes them to a file."""

    def append(self, example: Taken_contra, /) -> None: ...
    def __len__(self) -> int: ...


@dataclass
class Examples(Generic[SomeExample]):
    """All examples of a training, and how many rows were truncated, dropped, refused or encoded with care.

    Attributes:
        kept: one for each row that is trained on.
        truncated: rows truncated to `max_length`.
        dropped: rows that were left out: too long, or without a response.
        refused: rows that the chat template refuses; `refusal` describes the first.
        control_text: rows of `kept` whose text spells a control token; it is encoded as text.
        without_thought: rows of `kept` whose response lost its thought, since the prompt has closed it already.
    """

    kept: Kept[SomeExample] = field(default_factory=list)
    truncated: int = 0
    dropped: int = 0
    refused: int = 0
    control_text: int = 0
    without_thought: int = 0
    refusal: str = ""

    def refuse(self, why: str) -> None:
        """Count a row that the chat template refuses; `why` describes it."""
        self.refused += 1
        self.refusal = self.refusal or why

    @property
    def counts(self) -> dict[str, float]:
        """The counts of rows for the manifest."""
        return {
            "rows": len(self.kept),
            "rows_truncated": self.truncated,
            "rows_dropped": self.dropped,
            "rows_refused": self.refused,
            "rows_with_control_text": self.control_text,
            "rows_without_thought": self.without_thought,
        }

    def notes(self) -> list[str]:
        """Lines for the log, one for each thing that happened to rows."""
        truncated, dropped = counted(self.truncated, "row"), counted(self.dropped, "row")
        noted = {
            f"too long: {truncated} truncated, {dropped} dropped": self.truncated + self.dropped,
            f"{counted(self.refused, 'row')} dropped, the first: {self.refusal}": self.refused,
            f"{counted(self.control_text, 'row')} spelt a control token: encoded as text": self.control_text,
            f"{counted(self.without_thought, 'response')} trained without the thought: the chat template's prompt has "
            "already closed the thought": self.without_thought,
        }
        return [line for line, count in noted.items() if count]
