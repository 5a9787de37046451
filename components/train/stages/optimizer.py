"""The optimizer of a process's stages: AdamW as transformers' trainer makes it, on gradients summed over pipelines."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import torch
import torch.distributed

from components.train.settings import TrainSettings

CLIP_EPSILON = 1e-6
"""Added to the norm, as torch's `clip_grad_norm_` does."""
BUCKET_BYTES = 2**25
"""Of gradients that are reduced at a time: enough that a link's latency is negligible, as torch's DDP has them."""


class Masters:
    """The weights that the optimizer changes, in fp32: the model's own, or copies of those in bf16, as ZeRO keeps them.

    Args:
        weights: the trained weights by name.

    Attributes:
        tensors: what the optimizer changes, by the same names.
    """

    def __init__(self, weights: Mapping[str, torch.nn.Parameter]) -> None:
        self._copied = {name: weight for name, weight in weights.items() if weight.dtype != torch.float32}
        copies = {name: torch.nn.Parameter(weight.detach().float()) for name, weight in self._copied.items()}
        self.weights = dict(weights)
        self.tensors = {name: copies.get(name, weight) for name, weight in weights.items()}

    def take_gradients(self) -> None:
        """Move the gradients of copied weights to their copies, in fp32."""
        for name, weight in self._copied.items():
            self.tensors[name].grad = None if weight.grad is None else weight.grad.float()
            weight.grad = None

    @torch.no_grad()
    def give_back(self) -> None:
        """Round the copies to the model's weights."""
        for name, weight in self._copied.items():
            weight.copy_(self.tensors[name])


def make_optimizer(
    settings: TrainSettings, models: list[Any], masters: Mapping[str, torch.Tensor]
) -> torch.optim.AdamW:
    """AdamW with the betas, the epsilon and the groups of transformers' trainer: norms and biases do not decay."""
    from transformers import Trainer, TrainingArguments

    defaults: dict[str, Any] = {field.name: field.default for field in fields(TrainingArguments)}
    # It reads the model alone, not the trainer.
    decaying = {name for model in models for name in Trainer.get_decay_parameter_names(None, model)}
    groups = [
        {
            "params": [weight for name, weight in masters.items() if name in decaying],
            "weight_decay": settings.weight_decay,
        },
        {"params": [weight for name, weight in masters.items() if name not in decaying], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=(defaults["adam_beta1"], defaults["adam_beta2"]),
        eps=defaults["adam_epsilon"],
        fused=True,
    )


def make_schedule(settings: TrainSettings, optimizer: torch.optim.Optimizer, steps: int) -> Any:
    """The learning rate over so many steps, by transformers' scheduler."""
    from transformers import get_scheduler

    name = "constant_with_warmup" if settings.scheduler == "constant" else settings.scheduler
    return get_scheduler(name, optimizer, round(settings.warmup_share * steps), steps)


class Gradients:
    """The gradients of all stages of all pipelines as those of one model. Every process makes one.

    A tensor is held by a process of each pipeline, and by two where the first and the last stage share it.

    Args:
        weights: this process's trained weights by name.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._weights, rank = weights, torch.distributed.get_rank()
        held = holders(weights)
        self._counted = [name for name in weights if held[name][0] == rank]
        self._joined: list[tuple[torch.distributed.ProcessGroup, list[str]]] = []
        # All processes make all groups, and reduce over theirs, in the same order: none waits for one that waits.
        for ranks in sorted({ranks for ranks in held.values() if len(ranks) > 1}):
            group = torch.distributed.new_group(list(ranks))
            if rank in ranks:
                self._joined.append((group, sorted(name for name in weights if held[name] == ranks)))

    def reduce(self) -> None:
        """Sum the gradients of each tensor over the processes that hold it, once a step, so that all stay equal."""
        for group, names in self._joined:
            for bucket in buckets([self._gradient(name) for name in names]):
                joined = bucket[0].view(-1) if len(bucket) == 1 else torch.cat([grad.view(-1) for grad in bucket])
                torch.distributed.all_reduce(joined, group=group)
                if len(bucket) > 1:
                    for grad, found in zip(bucket, torch.split(joined, [grad.numel() for grad in bucket]), strict=True):
                        grad.copy_(found.view_as(grad))

    def clip(self, most: float) -> float:
        """Scale all gradients down to an L2 norm over all tensors, each counted once; returns the norm before."""
        device = next(iter(self._weights.values())).device
        found = [grad.norm().float() for name in self._counted if (grad := self._weights[name].grad) is not None]
        square = torch.stack(found).norm().square() if found else torch.zeros((), device=device)
        torch.distributed.all_reduce(square)
        norm = square.sqrt()
        factor = (most / (norm + CLIP_EPSILON)).clamp(max=1.0)
        for weight in self._weights.values():
            if weight.grad is not None:
                weight.grad.mul_(factor)
        return norm.item()

    def _gradient(self, name: str) -> torch.Tensor:
        """A contiguous gradient; zeros where no loss of this process depends on the weight."""
        weight = self._weights[name]
        grad = torch.zeros_like(weight) if weight.grad is None else weight.grad.contiguous()
        weight.grad = grad
        return grad


def holders(names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The processes that hold each tensor, in their order. Every process calls it with the names of its own."""
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, list(names))
    held: dict[str, tuple[int, ...]] = {}
    for rank, own in enumerate(found):
        held |= {name: (*held.get(name, ()), rank) for name in own}
    return held


def buckets(tensors: Iterable[torch.Tensor], most: int = BUCKET_BYTES) -> Iterator[list[torch.Tensor]]:
    """Tensors of one type in lists of at most so many bytes; a larger one is alone."""
    bucket: list[torch.Tensor] = []
    for tensor in tensors:
        if bucket and sum(each.nbytes for each in [*bucket, tensor]) > most:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
