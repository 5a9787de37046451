"""What losses on pairs without a reference are functions of. Methods import this module, so it imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PairLogProbs:
    """A batch's pairs under the model that is trained, each a tensor of shape (pairs,), in nats.

    Attributes:
        chosen: mean log-prob of the chosen response's tokens.
        rejected: the same for the rejected one.
        row: mean log-prob of the tokens of the chosen row, prompt and response; None for losses that do not read it.
    """

    chosen: Any
    rejected: Any
    row: Any = None


PairLoss = Callable[[PairLogProbs], tuple[Any, dict[str, Any]]]
"""The loss of each pair, shape (pairs,), and metrics of the same shape."""
