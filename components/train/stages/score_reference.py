"""The reference's log-probs by the stages themselves, before the first step: no second model is held."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed

from components.shared.log import Progress
from components.train.objectives.objective import Objective
from components.train.stages.job_pipelines import JobPipeline
from components.train.stages.pack_steps import PackedSteps, padded
from components.train.stages.pipeline import StagePipeline


@dataclass(frozen=True)
class ReferenceScorer:
    """Computes the reference's log-probs in all pipelines, each of its own micro-batches.

    Attributes:
        pipeline: this process's stages, with the weights that training starts from.
        pipelines: of the job.
        own: the one of this process.
        objective: that compares with a reference.
        steps: all rows, dealt to micro-batches.
        device: of this process.
        task: the step's name in the log; empty: nothing is logged.
    """

    pipeline: StagePipeline
    pipelines: Sequence[JobPipeline]
    own: JobPipeline
    objective: Objective[Any]
    steps: PackedSteps
    device: torch.device
    task: str

    def score(self, rows: Any) -> list[list[float]]:
        """Log-probs of every row in nats, shape (reference columns of the objective, rows). Every process calls it."""
        found = torch.zeros(len(self.objective.reference_columns), len(rows), dtype=torch.float64)
        progress = Progress(self.task, "reference log-probs", len(rows), "rows") if self.task else None
        for step in range(self.steps.steps):
            self._score_step(rows, step, found)
            if progress is not None:
                progress.advance(min(self.steps.rows, len(rows) - step * self.steps.rows))
        if progress is not None:
            progress.finish()
        joined: list[list[float]] = self._joined(found).float().tolist()
        return joined

    def _score_step(self, rows: Any, step: int, found: torch.Tensor) -> None:
        """Put the log-probs of the own micro-batches of a step into `found`, in the process of the last stage."""
        numbers = self.own.part_of(self.steps.micro_batches_of(step))
        pairs = [self.objective.apart(self.objective.collate(rows.__getitems__(each))) for each in numbers]
        first = 0
        for batches in zip(*pairs, strict=True):
            if batches[0] is None:
                continue
            moved = [padded(batch, self.steps.length).to(self.device) for batch in batches]
            for place, values in self.pipeline.score(moved, reference=True).items():
                found[first : first + len(values), numbers[place]] = torch.stack(values).to("cpu", found.dtype)
            first += 1

    def _joined(self, found: torch.Tensor) -> torch.Tensor:
        """The values of all pipelines' last stages, in all processes."""
        parts = []
        for pipeline in self.pipelines:
            shared = [found]
            torch.distributed.broadcast_object_list(shared, src=pipeline.last_rank)
            parts.append(shared[0])
        joined = torch.zeros_like(found)
        for step in range(self.steps.steps):
            micro_batches = self.steps.micro_batches_of(step)
            for pipeline, part in zip(self.pipelines, parts, strict=True):
                for numbers in pipeline.part_of(micro_batches):
                    joined[:, numbers] = part[:, numbers]
        return joined
