"""How fast this process trains: measured on the run's own rows, without communication, and without a trace."""

# ruff: noqa: TID253 - imported by the job's own program only

import time
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import torch
import torch.distributed

from components.train.batches.balanced_order import BalancedOrder
from components.train.engine.pass_clock import PassClock

if TYPE_CHECKING:
    from components.train.engine.packed_trainer import PackedTrainer

SECONDS, PASSES = 2.0, 3
"""A measurement ends after both."""


@dataclass(frozen=True)
class MeasuredSpeed:
    """Positions a second: of both passes, and of forward passes alone."""

    both: float
    forward: float


def measure_speed(trainer: "PackedTrainer", order: BalancedOrder) -> MeasuredSpeed:
    """Time forward and backward passes over micro-batches of the first step, while all other ranks do the same.

    Gradients are computed and not kept: DeepSpeed, which hooks into keeping them, takes no part. All ranks call this.

    Args:
        trainer: its model is on its device.
        order: of the training.
    """
    batches = order.sample()
    positions = order.rows.positions
    both, forward, done = PassClock(), PassClock(), 0
    with torch.random.fork_rng():
        trainer.model.train()
        # The first pass compiles and allocates.
        _time_pass(trainer, batches[0], both, forward)
        both.take(), forward.take()
        if trainer.args.world_size > 1:
            torch.distributed.barrier()
        began, passes = time.monotonic(), 0
        for batch in cycle(batches):
            _time_pass(trainer, batch, both, forward)
            done, passes = done + int(positions[batch].sum()), passes + 1
            seconds = time.monotonic() - began
            if seconds >= SECONDS and passes >= PASSES:
                break
    return MeasuredSpeed(done / both.take(), done / forward.take())


def _time_pass(trainer: "PackedTrainer", rows: list[int], both: PassClock, forward: PassClock) -> None:
    batch = trainer.objective.collate(trainer.train_dataset.__getitems__(rows)).to(trainer.args.device)
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    with both.running():
        with forward.running():
            loss = trainer.packed.run(trainer.model, lambda: trainer.objective.grade(trainer.packed, batch).loss)
        torch.autograd.grad(loss, weights, allow_unused=True)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
