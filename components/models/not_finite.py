"""Models that compute infinite or NaN values though all their weights are finite: activations or logits overflow."""

import math
from collections.abc import Sequence

from components.shared.errors import ModelError
from components.shared.text.counted import counted


class NotFiniteError(ModelError):
    """Logits of a model, or log-probabilities of its tokens, are infinite or NaN."""


def not_finite(reference: str, what: str, where: str = "") -> NotFiniteError:
    """The error for a model.

    Args:
        reference: of the model.
        what: which values of which text are not finite.
        where: the first of them is, such as a row; empty: `what` says it.
    """
    return NotFiniteError(
        f"{reference!r} computes {what} that are infinite or NaN" + (f", first in {where}" if where else ""),
        rule="logits must be finite: of other values no token is the likeliest, and an answer means nothing. Weights "
        "that are finite, but too large, overflow on the way to them",
        remedy="train the model with a smaller learning_rate, max_grad_norm or alpha of adapters; where its files are "
        "right, set a precision of a larger range: bfloat16 or float32",
    )


def require_finite(reference: str, what: str, values: Sequence[float], names: Sequence[str]) -> None:
    """Refuse values that could not be compared: NaN with nothing, and an infinite one with no other infinite one.

    Args:
        reference: of the model that computed them.
        what: the values are, such as log-probabilities.
        values: of texts, one each.
        names: of the rows that the texts are from; none: the texts' numbers.

    Raises:
        NotFiniteError: a value is infinite or NaN; it names the row of the first.
    """
    faulty = [number for number, value in enumerate(values) if not math.isfinite(value)]
    if faulty:
        where = f"row {names[faulty[0]]!r}" if names else f"text {faulty[0]}"
        raise not_finite(reference, f"{what} of {len(faulty)} of {counted(len(values), 'text')}", where)
