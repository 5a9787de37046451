"""How fast this process trains: measured on the run's own rows, without communication, and without a trace."""

# ruff: noqa: TID253 - imported by the job's own program only

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed

from components.train.batches.balanced_order import BalancedOrder

if TYPE_CHECKING:
    from components.train.engine.packed_trainer import PackedTrainer

SECONDS, PASSES = 2.0, 3
"""A measurement ends after both."""


class PassClock:
    """Adds up how long passes take; on a GPU by events, so that nothing waits for it."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._events: list[tuple[Any, Any]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time what is inside."""
        if torch.cuda.is_available():
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            began.record()
            yield
            ended.record()
            self._events.append((began, ended))
        else:
            start = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - start

    def take(self) -> float:
        """The seconds since the last call."""
        if self._events:
            self._events[-1][1].synchronize()
            self._seconds += sum(began.elapsed_time(ended) for began, ended in self._events) / 1000
        found, self._seconds, self._events = self._seconds, 0.0, []
        return found


@dataclass(frozen=True)
class Measured:
    """Positions a second: of both passes, and of forward passes alone."""

    both: float
    forward: float


def measure_speed(trainer: "PackedTrainer", order: BalancedOrder) -> Measured:
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
    return Measured(done / both.take(), done / forward.take())


def _time_pass(trainer: "PackedTrainer", rows: list[int], both: PassClock, forward: PassClock) -> None:
    batch = trainer.objective.collate(trainer.train_dataset.__getitems__(rows)).to(trainer.args.device)
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    with both.running():
        with forward.running():
            loss = trainer.packed.run(trainer.model, lambda: trainer.objective.grade(trainer.packed, batch).loss)
        torch.autograd.grad(loss, weights, allow_unused=True)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
