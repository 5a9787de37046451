"""The head fused with the log-probabilities of labels: no tensor of all positions by the vocabulary.

With weights W, hidden states h and labels y, log p(y) = z_y - log sum exp z, z = W h. Its gradient by z is
g (1_y - softmax z), so the backward pass needs a chunk's logits and the forward pass's log sum exp alone.
"""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Callable
from typing import Any

import torch

from components.models.forward.chunks import HeadMemory
from components.models.forward.head import LogitTransform
from components.models.forward.head_gradients import HeadGradients


def label_log_probs(
    hidden: torch.Tensor,
    head: torch.nn.Linear,
    labels: torch.Tensor,
    transform: LogitTransform,
    memory: HeadMemory,
) -> torch.Tensor:
    """Log-probs of labels in fp32 [labels], in nats; gradients flow to the hidden states and to the head.

    Args:
        hidden: hidden states that predict the labels [labels, width].
        head: the output layer, tied to the embeddings or not, with or without a bias.
        labels: label ids [labels].
        transform: what the model does to the head's output.
        memory: how much logits may take.
    """
    apply: Callable[..., torch.Tensor] = _LabelLogProbs.apply
    return apply(hidden, head.weight, head.bias, labels, transform, memory)


class _LabelLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        transform: LogitTransform,
        memory: HeadMemory,
    ) -> torch.Tensor:
        log_probs = torch.empty(len(labels), dtype=torch.float32, device=hidden.device)
        norms = torch.empty_like(log_probs)
        keeps = any(ctx.needs_input_grad) and memory.keeps(len(labels), len(weight), hidden.element_size())
        kept = []
        for rows in memory.chunks(len(labels), len(weight)):
            raw = torch.nn.functional.linear(hidden[rows], weight, bias)
            logits = transform.apply(raw)
            norms[rows] = logits.logsumexp(1)
            log_probs[rows] = logits.gather(1, labels[rows, None])[:, 0] - norms[rows]
            kept += [raw] if keeps else []
        ctx.save_for_backward(hidden, weight, bias, labels, norms, *kept)
        ctx.transform, ctx.memory = transform, memory
        return log_probs

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        hidden, weight, bias, labels, norms, *kept = ctx.saved_tensors
        found = HeadGradients(hidden, weight, bias, ctx.needs_input_grad[:3])
        for number, rows in enumerate(ctx.memory.chunks(len(labels), len(weight))):
            raw = kept[number] if kept else torch.nn.functional.linear(hidden[rows], weight, bias)
            logits = ctx.transform.apply(raw)
            factors = -gradients[0][rows, None]
            slope = (logits - norms[rows, None]).exp_().mul_(factors)
            slope.scatter_add_(1, labels[rows, None], -factors)
            found.add(rows, ctx.transform.backward_(slope, logits))
        return (*found.result(), None, None, None)
