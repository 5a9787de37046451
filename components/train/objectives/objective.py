"""What a training method computes of a micro-batch of packed rows: its loss, its metrics and its reference."""

# ruff: noqa: TID253 - imported by the job's own program only

from abc import ABC, abstractmethod
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
import torch.distributed

from components.models.forward.packed_model import PackedModel

Row = Mapping[str, Any]
"""A row of the data set by its columns."""

Sums = dict[str, tuple[torch.Tensor, torch.Tensor | float]]
"""For each metric its sum over a micro-batch, and the number of things summed."""

SomeBatch = TypeVar("SomeBatch")


@dataclass(frozen=True)
class Graded:
    """What the forward pass of a micro-batch found.

    Attributes:
        loss: the sum over the batch's units, a scalar with gradients.
        sums: the metrics, the same ones in every micro-batch.
    """

    loss: torch.Tensor
    sums: Sums = field(default_factory=dict)


class Objective(ABC, Generic[SomeBatch]):
    """A loss that is a mean over units (labels, rows or pairs) of an optimizer step, over all ranks.

    Every micro-batch gives a sum, which the trainer divides by the step's units, so that neither the ranks nor the
    size of micro-batches change what is computed. A batch has a method `to(device)`.
    """

    uses_dropout: ClassVar[bool] = False
    """Whether dropout stays on; log-probs that are compared need it off."""

    spans_ranks: bool = True
    """Whether rows that are graded together are spread over all ranks; False: a rank has all of them."""

    reference_columns: tuple[str, ...] = ()
    """Columns of the data set that hold the reference's log-probs."""

    reference_batch: int = 1
    """Rows of one process in a forward pass of the reference."""

    @abstractmethod
    def collate(self, rows: Sequence[Row]) -> SomeBatch:
        """Pack the rows of a micro-batch."""

    @abstractmethod
    def units(self, batch: SomeBatch) -> int:
        """Units of a micro-batch."""

    @abstractmethod
    def grade(self, model: PackedModel, batch: SomeBatch) -> Graded:
        """The loss and the metrics of a micro-batch.

        Every rank makes the same number of forward passes where rows that are graded together span ranks.
        """

    def reference(self, model: PackedModel, batch: SomeBatch) -> list[torch.Tensor]:
        """Log-probs under the reference, called without gradients: [rows] for each of `reference_columns`, in nats."""
        raise NotImplementedError(f"{type(self).__name__} has no reference")

    def apart(self, batch: SomeBatch) -> tuple[SomeBatch, SomeBatch | None]:
        """A micro-batch's own rows, and those that are read beside them without gradients; None: there are none.

        Those are a micro-batch of as many rows. A pipeline's stages read both one after the other.
        """
        return batch, None

    def informed(
        self, batches: Sequence[SomeBatch], found: Sequence[torch.Tensor], places: Sequence[Sequence[int]]
    ) -> list[SomeBatch]:
        """A step's own rows with what follows from those beside them.

        Args:
            batches: the own rows of each micro-batch.
            found: log-probs of the rows beside them [rows], by micro-batch.
            places: of each micro-batch's rows in the step's order.
        """
        raise NotImplementedError(f"{type(self).__name__} reads no rows beside a step's own")

    def complete(self, means: dict[str, float]) -> dict[str, float]:
        """The metrics of a step from their means over it; a metric that nothing was summed for is missing."""
        return means


def token_ids(values: Sequence[int]) -> "array[int]":
    """A column's value as token ids."""
    return array("i", np.asarray(values, dtype=np.int32).tobytes())


def column(rows: Sequence[Row], name: str) -> torch.Tensor | None:
    """A column of numbers, fp32 [rows]; None where the data set lacks it."""
    return torch.tensor([float(row[name]) for row in rows]) if name in rows[0] else None


def means_over_ranks(values: torch.Tensor, group: int, *, spans_ranks: bool = True) -> torch.Tensor:
    """The means of consecutive groups of values [groups], in their type. Every rank calls it, if groups span ranks.

    Args:
        values: of this rank [rows]: as many of each group as every other rank has, or all of each group.
        group: values of all ranks in a group.
        spans_ranks: whether a group's values are spread over all ranks.
    """
    ranks = torch.distributed.get_world_size() if spans_ranks and torch.distributed.is_initialized() else 1
    sums = values.view(-1, group // ranks).sum(dim=1)
    if ranks > 1:
        torch.distributed.all_reduce(sums)
    return sums / group
