"""The reference's log-probs by the stages themselves, before the first step: no second model is held."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed

from components.shared.log import Progress
from components.train.objectives.objective import Objective
from components.train.stages.pack_steps import PackedSteps, padded
from components.train.stages.pipeline import StagePipeline


def score_reference(
    pipeline: StagePipeline,
    objective: Objective[Any],
    rows: Any,
    steps: PackedSteps,
    *,
    device: torch.device,
    task: str,
) -> list[list[float]]:
    """Log-probs of every row in nats, shape (columns of the objective's reference, rows). Every process calls it.

    The micro-batches are those of the first steps, which read every row.

    Args:
        pipeline: with the weights that training starts from.
        objective: that compares with a reference.
        rows: the data set.
        steps: its rows, dealt to micro-batches.
        device: of this process.
        task: the step's name in the log; empty: nothing is logged.
    """
    found = torch.zeros(len(objective.reference_columns), len(rows), dtype=torch.float64)
    first_epoch = -(-len(rows) // steps.rows)
    progress = Progress(task, "reference log-probs", len(rows), "rows") if task else None
    for step in range(first_epoch):
        numbers = steps.micro_batches_of(step)
        pairs = [objective.apart(objective.collate(rows.__getitems__(each))) for each in numbers]
        first = 0
        for batches in zip(*pairs, strict=True):
            if batches[0] is not None:
                moved = [padded(batch, steps.length).to(device) for batch in batches]
                scores = pipeline.score(moved, reference=True)
                for place, values in scores.items():
                    found[first : first + len(values), numbers[place]] = torch.stack(values).to("cpu", found.dtype)
                first += 1
        if progress is not None:
            progress.advance(min(steps.rows, len(rows) - step * steps.rows))
    if progress is not None:
        progress.finish()
    return _of_last(found.float().tolist())


def _of_last(values: Sequence[Any]) -> list[Any]:
    """The values of the process with the last stage, in all processes."""
    shared = [values]
    torch.distributed.broadcast_object_list(shared, src=torch.distributed.get_world_size() - 1)
    return list(shared[0])
