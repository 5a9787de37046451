"""The head fused with the summed cross-entropy of labels, whose gradient is computed in the forward pass.

The loss of supervised fine-tuning is a sum, so each logit's gradient is known as soon as the logits are: three
products by the head's weights instead of four, and nothing is kept but the gradients themselves.
"""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Callable
from typing import Any

import torch

from components.models.forward.chunks import HeadMemory
from components.models.forward.head import LogitTransform
from components.models.forward.head_gradients import HeadGradients


def summed_cross_entropy(
    hidden: torch.Tensor,
    head: torch.nn.Linear,
    labels: torch.Tensor,
    transform: LogitTransform,
    memory: HeadMemory,
) -> torch.Tensor:
    """Minus the sum of the labels' log-probs, a scalar in fp32; divide it by the step's labels for their mean.

    Arguments as of `label_log_probs`.
    """
    return _apply(hidden, head, labels, transform, memory, counts_hits=False)[0]


def cross_entropy_and_hits(
    hidden: torch.Tensor,
    head: torch.nn.Linear,
    labels: torch.Tensor,
    transform: LogitTransform,
    memory: HeadMemory,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`summed_cross_entropy`, and the number of labels that are ranked first, a scalar without gradients."""
    return _apply(hidden, head, labels, transform, memory, counts_hits=True)


def _apply(
    hidden: torch.Tensor,
    head: torch.nn.Linear,
    labels: torch.Tensor,
    transform: LogitTransform,
    memory: HeadMemory,
    *,
    counts_hits: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    apply: Callable[..., tuple[torch.Tensor, torch.Tensor]] = _SummedCrossEntropy.apply
    return apply(hidden, head.weight, head.bias, labels, transform, memory, torch.is_grad_enabled(), counts_hits)


class _SummedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        transform: LogitTransform,
        memory: HeadMemory,
        graded: bool,
        counts_hits: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        hits = torch.zeros_like(loss)
        needed = [graded and each for each in ctx.needs_input_grad[:3]]
        found = HeadGradients(hidden, weight, bias, needed)
        for rows in memory.chunks(len(labels), len(weight)):
            logits = transform.apply(torch.nn.functional.linear(hidden[rows], weight, bias))
            if counts_hits:
                hits += (logits.argmax(1) == labels[rows]).sum()
            log_probs = logits.log_softmax(1)
            loss -= log_probs.gather(1, labels[rows, None]).sum()
            if any(needed):
                slope = log_probs.exp_()
                slope.scatter_add_(1, labels[rows, None], slope.new_full((len(slope), 1), -1.0))
                found.add(rows, transform.backward_(slope, logits))
        ctx.save_for_backward(*found.result())
        ctx.mark_non_differentiable(hits)
        return loss, hits

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        found = (None if each is None else each * gradients[0].to(each.dtype) for each in ctx.saved_tensors)
        return (*found, None, None, None, None, None)
