"""Log-probabilities of labels with their ranks in the vocabulary, without a tensor of all positions by vocabulary."""

# ruff: noqa: TID253 - imported where a model is loaded only

import torch

from components.models.forward.chunks import HeadMemory
from components.models.forward.head import LogitTransform


def label_ranks(
    hidden: torch.Tensor,
    head: torch.nn.Linear,
    labels: torch.Tensor,
    transform: LogitTransform,
    memory: HeadMemory,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probs of labels in fp32 [labels], in nats, and their ranks [labels], 1 for the likeliest token.

    Args:
        hidden: hidden states that predict the labels [labels, width].
        head: the output layer, tied to the embeddings or not, with or without a bias.
        labels: label ids [labels].
        transform: what the model does to the head's output.
        memory: how much logits may take.
    """
    log_probs = torch.empty(len(labels), dtype=torch.float32, device=hidden.device)
    ranks = torch.empty_like(labels)
    for rows in memory.chunks(len(labels), len(head.weight)):
        logits = transform.apply(torch.nn.functional.linear(hidden[rows], head.weight, head.bias))
        log_probs[rows], ranks[rows] = ranked(logits, labels[rows])
    return log_probs, ranks


def ranked(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probs and ranks of labels [labels] from logits in fp32 [labels, vocabulary]; equal logits share a rank."""
    own = logits.gather(1, labels[:, None])
    return own[:, 0] - logits.logsumexp(1), 1 + (logits > own).sum(1)
