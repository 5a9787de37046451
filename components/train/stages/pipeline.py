"""Runs an optimizer step's micro-batches through the stages, by a schedule of torch.distributed.pipelining."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch.distributed.pipelining import (
    PipelineStage,
    Schedule1F1B,
    ScheduleInterleaved1F1B,
    ScheduleInterleavedZeroBubble,
)

from components.train.objectives.objective import Objective, Sums
from components.train.stages.pack_steps import packed_rows
from components.train.stages.stage_model import LastStates, StageModel

SCHEDULES: dict[str, type[Any]] = {
    "1f1b": Schedule1F1B,
    "interleaved": ScheduleInterleaved1F1B,
    "zero_bubble": ScheduleInterleavedZeroBubble,
}


@dataclass(frozen=True)
class Shapes:
    """What passes between stages: [1, length] token ids into the first one, then [1, length, width] states."""

    length: int
    width: int
    dtype: torch.dtype

    def input_of(self, stage: int) -> torch.Tensor:
        """What a stage reads, without data."""
        if stage:
            # A stage sends gradients back only for what it reads as requiring them.
            return torch.empty(1, self.length, self.width, dtype=self.dtype, device="meta", requires_grad=True)
        return torch.empty(1, self.length, dtype=torch.long, device="meta")


class StagePipeline:
    """The stages of this process among those of its pipeline, all of whose processes call `step` alike.

    Args:
        stages: this process's, by number.
        number: of stages.
        schedule: its name.
        micro_batches: of a step.
        shapes: of what passes between stages.
        objective: the loss, computed from the last stage's states.
        device: of this process.
        group: the processes of the pipeline; None: all.

    Attributes:
        stages: this process's, by number.
    """

    def __init__(
        self,
        stages: dict[int, StageModel],
        *,
        number: int,
        schedule: str,
        micro_batches: int,
        shapes: Shapes,
        objective: Objective[Any],
        device: torch.device,
        group: torch.distributed.ProcessGroup | None = None,
    ) -> None:
        self.stages, self._objective = stages, objective
        self._last = LastStates(stages[number - 1].model) if number - 1 in stages else None
        self._numbers = torch.arange(micro_batches)
        self._batches: list[Any] = []
        self._units = 1
        self._sums: Sums = {}
        self._scores: dict[int, list[torch.Tensor]] | None = None
        output = Shapes.input_of(shapes, 1)
        made = [
            PipelineStage(
                model, place, number, device, input_args=shapes.input_of(place), output_args=output, group=group
            )
            for place, model in stages.items()
        ]
        # The loss is divided by the step's units already, so gradients are summed over micro-batches, not averaged.
        self._schedule = SCHEDULES[schedule](
            made[0] if schedule == "1f1b" else made, micro_batches, loss_fn=self._loss, scale_grads=False
        )

    def step(self, batches: Sequence[Any], units: int) -> tuple[torch.Tensor, Sums]:
        """Gradients of this pipeline's part of the mean loss over a step's units.

        Args:
            batches: its micro-batches.
            units: of the step, in the micro-batches of all pipelines.

        Returns:
            In the process of the last stage its part of the loss and the sums of the metrics, else 0 and none.
        """
        self._sums, self._units = {}, units
        losses: list[torch.Tensor] = []
        self._run(self._schedule.step, batches, losses)
        return (torch.stack(losses).sum() if losses else torch.zeros(())), self._sums

    def score(self, batches: Sequence[Any], *, reference: bool) -> dict[int, list[torch.Tensor]]:
        """Log-probs of each micro-batch, without gradients, by its number; in the process of the last stage alone.

        Args:
            batches: as many as it has in a step.
            reference: whether adapters are left out.
        """
        found: dict[int, list[torch.Tensor]] = {}
        self._scores = found
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            for stage in self.stages.values() if reference else ():
                stack.enter_context(getattr(stage.model, "disable_adapter", nullcontext)())
            self._run(self._schedule.eval, batches, [])
        self._scores = None
        return found

    def _run(self, schedule: Callable[..., Any], batches: Sequence[Any], losses: list[torch.Tensor]) -> None:
        self._batches = list(batches)
        for stage in self.stages.values():
            stage.batches = [packed_rows(batch) for batch in batches]
        ids = torch.cat([packed_rows(batch).input_ids for batch in batches])
        schedule(
            *((ids,) if 0 in self.stages else ()),
            target=self._numbers if self._last else None,
            losses=losses if self._last else None,
            return_outputs=False,
            number=self._numbers,
        )

    def _loss(self, states: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        assert self._last is not None
        self._last.states = states
        if self._scores is not None:
            self._scores[int(number)] = self._objective.reference(self._last, self._batches[int(number)])
            return states.new_zeros(())
        graded = self._objective.grade(self._last, self._batches[int(number)])
        for name, (total, count) in graded.sums.items():
            value, many = self._sums.get(name, (torch.zeros_like(total), 0))
            self._sums[name] = (value + total.detach(), many + count)
        return graded.loss / self._units
