"""The kernel of attention that all processes of a training take."""

# ruff: noqa: TID253 - imported by the job's own program only

from typing import Any

import numpy as np
import torch.distributed

from components.models.forward.attention_kernels import KERNELS
from components.models.forward.choose_kernel import KernelChoice, choose_kernel
from components.shared.log import say
from components.train.ranks import Ranks


def choose_attention(trainer: Any, order: np.ndarray, task: str) -> None:
    """Choose by measurement on the training's first micro-batch; every process calls this.

    The first process decides. Where another one's device lacks the kernel, that one computes with the reference's.

    Args:
        trainer: the packed trainer, not yet training, whose `packed` is set here.
        order: row numbers in the order of the training.
        task: the step's name in the log.
    """
    ranks, shared = Ranks.from_environment(), [""]
    if ranks.is_main:
        choice = _choice(trainer, order)
        say(task, str(choice))
        shared = [choice.kernel.name]
    if ranks.world > 1:
        torch.distributed.broadcast_object_list(shared)
    trainer.packed.kernel = KERNELS[shared[0]]


def _choice(trainer: Any, order: np.ndarray) -> KernelChoice:
    micro_batches, objective = trainer.micro_batches, trainer.objective
    size = trainer.args.per_device_train_batch_size
    numbers = order[:size].tolist() if micro_batches is None else micro_batches.first()
    batch = objective.collate(trainer.train_dataset.__getitems__(numbers))
    calls = trainer.packed.calls
    if objective.uses_dropout:
        dropout = float(getattr(trainer.model.config.get_text_config(), "attention_dropout", 0.0) or 0.0)
        calls = [call.with_dropout(dropout) for call in calls]
    return choose_kernel(calls, getattr(batch, "packed", batch).segments)
