"""The optimizer of a process's stages: AdamW as transformers' trainer makes it, clipped by the norm over all stages."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
import torch.distributed

from components.train.settings import TrainSettings

CLIP_EPSILON = 1e-6
"""Added to the norm, as torch's `clip_grad_norm_` does."""


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
    """The gradients of all stages as those of one model. Every process makes one.

    Args:
        weights: this process's trained weights by name.
        tied: the name of the tensor that the first and the last stage both have; None: there is none.
        last: the process of the last stage.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor], tied: str | None, last: int) -> None:
        self._weights, self._tied = weights, tied
        self._ends = torch.distributed.new_group([0, last])
        rank = torch.distributed.get_rank()
        self._is_end = rank in (0, last)
        self._counted = [name for name in weights if rank == 0 or name != tied]

    def join_tied(self) -> None:
        """Sum the gradients of both copies of a tied tensor, once a step, so that both stay equal."""
        if self._is_end and self._tied is not None and self._tied in self._weights:
            torch.distributed.all_reduce(self._weights[self._tied].grad, group=self._ends)

    def clip(self, most: float) -> float:
        """Scale all gradients down to an L2 norm over all stages; returns the norm before."""
        found = [grad.norm().float() for name in self._counted if (grad := self._weights[name].grad) is not None]
        square = torch.stack(found).norm().square()
        torch.distributed.all_reduce(square)
        norm = square.sqrt()
        factor = (most / (norm + CLIP_EPSILON)).clamp(max=1.0)
        for weight in self._weights.values():
            if weight.grad is not None:
                weight.grad.mul_(factor)
        return norm.item()
