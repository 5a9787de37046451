"""What a scorer measured on one row's responses; kept in shards while the step works."""

from typing import ClassVar

from components.shared.rows import Row


class Measured(Row):
    """The measurements of one instruction, one for each of its responses, in their order.

    Args:
        id: the instruction's.
        values: log-probability of a token in nats, probability that a response is safe, verdict of a check (1 or 0),
            … whatever the scorer's `value` makes a score of; None where there is nothing to measure.
        request: of a safety scorer, the probability that the request itself is harmless.
        tokens: of a likelihood, tokens of each response.
        groups: of the checks, for each response the index of the first one with an equal answer.
    """

    content: ClassVar[str] = "measured/1"

    id: str
    values: tuple[float | None, ...]
    request: float | None = None
    tokens: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
