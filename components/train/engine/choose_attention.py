"""The kernel of attention that all processes of a training take."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch.distributed

from components.models.forward.attention_kernels import KERNELS, AttentionKernel
from components.models.forward.choose_kernel import KernelChoice, choose_kernel
from components.models.forward.layer_calls import LayerCall
from components.shared.log import say
from components.train.objectives.objective import Objective
from components.train.ranks import Ranks


def choose_attention(trainer: Any, order: np.ndarray, task: str) -> None:
    """Choose by measurement on the training's first micro-batch; every process calls this.

    Args:
        trainer: the packed trainer, not yet training, whose `packed` is set here.
        order: row numbers in the order of the training.
        task: the step's name in the log.
    """
    trainer.packed.kernel = kernel_of_all(lambda: _choice(trainer, order), task)


def kernel_of_all(choose: Callable[[], KernelChoice], task: str) -> AttentionKernel:
    """The kernel that the first process chooses, which the log then names; every process calls this.

    Where another one's device lacks the kernel, that one computes with the reference's.
    """
    ranks, shared = Ranks.from_environment(), [""]
    if ranks.is_main:
        choice = choose()
        say(task, str(choice))
        shared = [choice.kernel.name]
    if ranks.world > 1:
        torch.distributed.broadcast_object_list(shared)
    return KERNELS[shared[0]]


def calls_in_training(calls: Sequence[LayerCall], objective: Objective[Any], config: Any) -> list[LayerCall]:
    """The layers' calls, which were recorded without dropout, with that of the model's configuration if it stays on."""
    if not objective.uses_dropout:
        return list(calls)
    dropout = float(getattr(config.get_text_config(), "attention_dropout", 0.0) or 0.0)
    return [call.with_dropout(dropout) for call in calls]


def _choice(trainer: Any, order: np.ndarray) -> KernelChoice:
    micro_batches, objective = trainer.micro_batches, trainer.objective
    size = trainer.args.per_device_train_batch_size
    numbers = order[:size].tolist() if micro_batches is None else micro_batches.first()
    batch = objective.collate(trainer.train_dataset.__getitems__(numbers))
    calls = calls_in_training(trainer.packed.calls, objective, trainer.model.config)
    return choose_kernel(calls, getattr(batch, "packed", batch).segments)
