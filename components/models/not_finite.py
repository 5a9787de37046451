"""Models that compute infinite or NaN values though all their weights are finite: activations or logits overflow."""

from components.shared.errors import ModelError


class NotFiniteError(ModelError):
    """Logits of a model, or log-probabilities of its tokens, are infinite or NaN."""


def not_finite(reference: str, what: str) -> NotFiniteError:
    """The error for a model.

    Args:
        reference: of the model.
        what: which values of which text are not finite.
    """
    return NotFiniteError(
        f"{reference!r} computes {what} that are infinite or NaN",
        rule="logits must be finite: of other values no token is the likeliest, and an answer means nothing. Weights "
        "that are finite, but too large, overflow on the way to them",
        remedy="train the model with a smaller learning_rate, max_grad_norm or alpha of adapters; where its files are "
        "right, set a precision of a larger range: bfloat16 or float32",
    )
