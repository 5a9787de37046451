"""Watches whether the stages of a job still take what they took at first; a device can slow, or be shared.

Only forward passes are timed, which wait for no other process. All micro-batches have one length, so nothing but the
devices changes their times.
"""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Iterable
from typing import Any

import torch.distributed

from components.train.balance.stage_drift import DRIFT, StageDrift, slowdown
from components.train.engine.pass_clock import PassClock
from components.train.stages.stage_model import StageModel

WARM_UP, WINDOW = 1, 20
"""Steps that are not measured, and the steps after which times are compared."""


class DriftWatch:
    """Compares the times of all processes, each of which has one, with those of the first steps.

    Args:
        stages: of this process; their forward passes are timed from now on.
    """

    def __init__(self, stages: Iterable[StageModel]) -> None:
        self._clock = PassClock()
        for stage in stages:
            stage.clock = self._clock
        self._steps, self._began = 0, 0
        self._before: list[float] = []
        self._found = False

    def after_step(self, step: int) -> StageDrift | None:
        """What was found at the end of a window, once; every process calls it after each step, and all get the same."""
        self._steps += 1
        if self._steps != WARM_UP and self._steps % WINDOW:
            return None
        seconds, steps = self._clock.take(), self._steps - self._began
        self._began = self._steps
        if self._steps == WARM_UP or self._found:
            return None
        now: list[Any] = [0.0] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(now, seconds / steps)
        self._before = self._before or now
        if (times := slowdown(self._before, now)) <= DRIFT:
            return None
        self._found = True
        return StageDrift(step=step, before=tuple(self._before), now=tuple(now), slowdown=round(times, 3))
