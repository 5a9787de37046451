"""The packed micro-batches of each optimizer step, all of one length, which a pipeline's transfers are made for."""

# ruff: noqa: TID253 - imported by the job's own program only

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from components.models.forward.packed_rows import PackedRows
from components.models.forward.segments import NO_PARENT, Segments

PADDING = 0
"""The token and the position at padding; no label is predicted from there."""


@dataclass(frozen=True)
class PackedSteps:
    """The rows of a training's steps, dealt to equally many micro-batches.

    Attributes:
        order: row numbers, shape (steps * rows of a step,).
        positions: positions of each row in a forward pass, shape (rows,).
        rows: of a step.
        micro_batches: of a step, at most its rows.
        least_length: positions of every micro-batch at least.
    """

    order: np.ndarray
    positions: np.ndarray
    rows: int
    micro_batches: int
    least_length: int = 0

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return len(self.order) // self.rows

    def reading_all(self) -> "PackedSteps":
        """The first steps, which read every row; where they end before, as with a budget, more steps with the others.

        Their micro-batches are as long as those of these steps, or longer.
        """
        rows, firsts = np.unique(self.order, return_index=True)
        missing = np.setdiff1d(np.arange(len(self.positions)), rows)
        others = np.resize(missing, -(-len(missing) // self.rows) * self.rows)
        order = np.concatenate([self.order[: (firsts.max() // self.rows + 1) * self.rows], others])
        return replace(self, order=order, least_length=self.length)

    def micro_batches_of(self, step: int) -> list[list[int]]:
        """Row numbers of each micro-batch of a step, from 0; none is empty."""
        rows = self.order[step * self.rows : (step + 1) * self.rows]
        return [rows[places].tolist() for places in self.places_of(step)]

    def places_of(self, step: int) -> list[list[int]]:
        """The places of the same rows in the step's order."""
        rows = self.order[step * self.rows : (step + 1) * self.rows]
        return deal(self.positions[rows].tolist(), self.micro_batches)

    @cached_property
    def length(self) -> int:
        """Positions of every micro-batch: those of the longest one of all steps."""
        micro_batches = (rows for step in range(self.steps) for rows in self.micro_batches_of(step))
        return max(self.least_length, *(int(self.positions[rows].sum()) for rows in micro_batches))


def deal(sizes: Sequence[int], bins: int) -> list[list[int]]:
    """Places of the sizes in each bin, none of which is empty: the largest first, each into the bin with the least.

    Graham, Bounds on multiprocessing timing anomalies (1969): the fullest bin has at most 4/3 of the least possible.
    """
    filled: list[tuple[int, int, list[int]]] = [(0, number, []) for number in range(bins)]
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        total, number, places = heapq.heappop(filled)
        heapq.heappush(filled, (total + sizes[place], number, [*places, place]))
    return [places for _, _, places in sorted(filled, key=lambda each: each[1])]


def packed_rows(batch: Any) -> PackedRows:
    """What the model reads of a batch: of rows the batch, of pairs its `packed`."""
    rows: PackedRows = getattr(batch, "packed", batch)
    return rows


def padded(batch: Any, length: int) -> Any:
    """The batch with its positions padded to a length, by a segment of its own that no token attends to."""
    rows = packed_rows(batch)
    missing = length - rows.tokens
    if missing < 0:
        raise ValueError(f"a micro-batch has {rows.tokens} positions, and {length} is the length of all")
    if not missing:
        return batch
    fill = torch.full((1, missing), PADDING)
    segments = Segments((*rows.segments.lengths, missing), (*rows.segments.parents, NO_PARENT))
    longer = replace(
        rows,
        input_ids=torch.cat([rows.input_ids, fill], dim=1),
        position_ids=torch.cat([rows.position_ids, fill], dim=1),
        segments=segments,
    )
    return longer if rows is batch else replace(batch, packed=longer)
