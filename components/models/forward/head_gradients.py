"""Gradients of the head, added chunk by chunk in fp32."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Sequence

import torch


class HeadGradients:
    """Gradients of hidden states, weight and bias while chunks are added; those of the weights in fp32."""

    def __init__(
        self, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, needed: Sequence[bool]
    ) -> None:
        self._hidden, self._weight, self._bias = hidden, weight, bias
        self._of_hidden = torch.empty_like(hidden) if needed[0] else None
        self._of_weight = torch.zeros_like(weight, dtype=torch.float32) if needed[1] else None
        self._of_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and needed[2] else None

    def add(self, rows: slice, slope: torch.Tensor) -> None:
        """Add a chunk: `slope` is the gradient of the head's output in fp32 [rows, vocabulary]."""
        low = slope.to(self._weight.dtype)
        if self._of_hidden is not None:
            self._of_hidden[rows] = low @ self._weight
        if self._of_weight is not None and low.dtype == torch.float32:
            self._of_weight.addmm_(low.T, self._hidden[rows])
        elif self._of_weight is not None:
            self._of_weight += low.T @ self._hidden[rows]
        if self._of_bias is not None:
            self._of_bias += slope.sum(0)

    def result(self) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Gradients of hidden states, weight and bias, each in its own type; None for what needs none."""
        weight = None if self._of_weight is None else self._of_weight.to(self._weight.dtype)
        bias = None if self._of_bias is None or self._bias is None else self._of_bias.to(self._bias.dtype)
        return self._of_hidden, weight, bias
