"""What a scorer measured on one row's responses; kept in shards while the step works."""

from typing import ClassVar

from components.models.conversation.chat_template import Refusal
from components.shared.rows import Answered, Row


class Measured(Row):
    """The measurements of one instruction, one for each of its responses, in their order.

    Args:
        id: the instruction's.
        values: log-probability of a token in nats, probability that a response is safe, verdict of a check (1 or 0),
            … whatever the scorer's `value` makes a score of; None where there is nothing to measure.
        request: of a safety scorer, the probability that the request itself is harmless.
        tokens: of a likelihood, tokens of each response.
        groups: of the checks, for each response the index of the first one with an equal answer.
        refused: why a model's chat template refuses the row; nothing is measured then, and the row is dropped.
        control_text: the row's text spells a control token of a model; it was encoded as text.
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
        """Of a row that a chat template refuses: no measurement of any of its responses."""
        reason = refusal if isinstance(refusal, str) else refusal.about(row.id)
        nothing = len(row.responses)
        return cls(id=row.id, values=(None,) * nothing, tokens=(0,) * nothing, refused=reason)
