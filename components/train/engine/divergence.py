"""The divergence of a training: a loss, a gradient, a weight or a reference's log-prob that is infinite or NaN."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from components.shared.errors import ModelError
from components.shared.text.counted import counted

if TYPE_CHECKING:
    import numpy as np


class DivergedError(ModelError):
    """A loss, a gradient, a weight or a reference's log-prob is not finite."""


def require_finite_loss(step: int, loss: float, learning_rate: float | None) -> None:
    """Raises DivergedError when the loss of a step is infinite or NaN."""
    if not math.isfinite(loss):
        raise DivergedError(
            f"the loss of step {step} is {loss}",
            rule="a loss must be finite",
            remedy=f"lower learning_rate (it was {learning_rate} at that step) or max_grad_norm, or look at the rows; "
            "at step 1, check the weights of the start too",
        )


def require_finite_gradients(step: int, skipped: int) -> None:
    """Raises DivergedError when DeepSpeed has skipped steps: it does so, silently, where a gradient is not finite.

    That is meant for fp16, whose loss scale it then lowers. With bf16 and fp32 nothing would change in later steps.
    """
    if skipped:
        raise DivergedError(
            f"the gradients of step {step} are not finite",
            rule="gradients must be finite",
            remedy="lower learning_rate or the alpha of adapters, or look at the rows",
        )


def require_finite_reference(faulty: "np.ndarray", show: Callable[[int], str]) -> None:
    """Raises DivergedError when the start's log-probs of some rows are not finite.

    Its weights may be finite all the same, and overflow on the way to the logits. A loss against such a reference can
    be finite or 0, and the row would silently teach nothing.

    Args:
        faulty: the numbers of those rows.
        show: the beginning of a row's text, by its number.
    """
    if len(faulty):
        raise DivergedError(
            f"the reference's log-probs of {counted(len(faulty), 'row')} are infinite or NaN; the first begins with "
            f"{show(int(faulty[0]))!r}",
            rule="log-probs of the model that a training starts from must be finite",
            remedy="start from a model that was trained with a smaller learning_rate, max_grad_norm or alpha of "
            "adapters; where its files are right, set precision to bf16 or fp32",
        )


def require_finite_weights(weights: Mapping[str, Any]) -> None:
    """Raises DivergedError when one of the tensors that are to be saved has an infinite or NaN value.

    The loss of the last step does not show it: it was computed before that step changed the weights.
    """
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise DivergedError(
                f"the trained weights of {name} are not finite",
                rule="weights must be finite to be saved",
                remedy="lower learning_rate or max_grad_norm, or the alpha of adapters",
            )
