"""Finds answers that a model writes by logits that are infinite or NaN: torch's arg max takes NaN for the likeliest."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class FiniteLogits:
    """A logits processor of `generate` that changes nothing, and with `ended` a stopping criterion.

    A logit of -inf rules its token out, as some models do, and is allowed beside finite ones.

    Args:
        rows: of the batch.
        prompt_width: columns of the prompt.
        device: of the model.
    """

    def __init__(self, rows: int, prompt_width: int, device: Any) -> None:
        import torch

        self._prompt_width = prompt_width
        self._faults = torch.zeros(rows, dtype=torch.long, device=device)

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        """Look at scores of shape [rows, vocabulary]."""
        import torch

        # The largest of values with a NaN among them is NaN.
        found = ~scores.amax(dim=-1).isfinite() & (self._faults == 0)
        self._faults = torch.where(found, input_ids.shape[1] - self._prompt_width + 1, self._faults)
        return scores

    def ended(self, input_ids: "torch.Tensor", scores: Any, **options: Any) -> "torch.Tensor":
        """Flags of shape [rows]: an answer ends at a token that means nothing."""
        return self._faults > 0

    def faults(self) -> list[int]:
        """By row, the number of the first token of its answer, from 1, whose logits are not finite; 0: none is."""
        found: list[int] = self._faults.tolist()
        return found
