"""What a scorer or a check measured on the responses of one row."""

from typing import ClassVar

from components.models.conversation.chat_template import Refusal
from components.shared.rows import Answered, Row

DECIMALS = 6
"""Measurements are rounded, so that the order of summation in a batch rarely changes them."""


class Measured(Row):
    """The measurements of one instruction: one for each of its responses, in their order.

    Args:
        id: of the instruction.
        values: mean log-probability of a token in nats, probability that a response is safe, result of a check (1 or
            0), or whatever else the `value` of a scorer turns into a score; None where there is nothing to measure.
        request: for safety, the probability that the request itself is harmless.
        tokens: for likelihoods, the number of tokens of each response.
        groups: for checks, the index of the first response with an equal answer, for each response.
        refused: why the chat template of a model refuses the row; nothing is measured, and select drops the row.
        control_text: whether the text of the row spells a control token of a model; it was encoded as text.
    """

    content: ClassVar[str] = "measured/1"

    id: str
    values: tuple[float | None, ...]
    request: float | None = None
    tokens: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    refused: str = ""
    control_text: bool = False

    @classmethod
    def of_refused(cls, row: Answered, refusal: Refusal | str) -> "Measured":
        """The measurements of a row that a chat template refuses: none for any of its responses."""
        reason = refusal if isinstance(refusal, str) else refusal.about(row.id)
        nothing = len(row.responses)
        return cls(id=row.id, values=(None,) * nothing, tokens=(0,) * nothing, refused=reason)


def is_scored(text: str, finish: str) -> bool:
    """Whether a response can be scored: it has text, and its request did not fail."""
    return finish != "error" and bool(text.strip())


def rounded(value: float) -> float:
    """The value with as many decimals as are stored."""
    return round(value, DECIMALS)
