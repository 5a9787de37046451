"""Pairs of a chosen and a rejected response as packed batches: both share their prompt's tokens."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from components.models.forward.example import Example
from components.models.forward.pack import pack
from components.models.forward.packed_model import PackedModel
from components.models.forward.packed_rows import PackedRows
from components.train.objectives.objective import Objective, Row, Sums, column, token_ids

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")


@dataclass(frozen=True, eq=False)
class PairBatch:
    """A micro-batch of pairs.

    Attributes:
        packed: two rows for each pair, the chosen response first.
        ref_chosen: log-probs of the chosen responses under the reference [pairs]; None: without a reference.
        ref_rejected: those of the rejected ones.
    """

    packed: PackedRows
    ref_chosen: torch.Tensor | None = None
    ref_rejected: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.packed.label_counts) // 2

    def to(self, device: torch.device) -> "PairBatch":
        """The same batch on a device."""
        reference = {name: getattr(self, name) for name in ("ref_chosen", "ref_rejected")}
        moved = {name: None if each is None else each.to(device) for name, each in reference.items()}
        return replace(self, packed=self.packed.to(device), **moved)


class PairObjective(Objective[PairBatch]):
    """An objective whose units are pairs."""

    def collate(self, rows: Sequence[Row]) -> PairBatch:
        """Pack columns `prompt_ids`, `chosen_ids` and `rejected_ids`; beside them the reference, once it is known."""
        responses = [(row, name) for row in rows for name in ("chosen_ids", "rejected_ids")]
        examples = [Example(token_ids(row["prompt_ids"]), token_ids(row[name])) for row, name in responses]
        return PairBatch(pack(examples), *(column(rows, name) for name in REFERENCE))

    def units(self, batch: PairBatch) -> int:
        """Its pairs."""
        return len(batch)

    def reference(self, model: PackedModel, batch: PairBatch) -> list[torch.Tensor]:
        """Summed log-probs of the chosen and of the rejected responses."""
        sums = batch.packed.sum_by_row(model.log_probs(batch.packed, model.hidden(batch.packed)))
        return [sums[::2], sums[1::2]]


def reward_sums(chosen: torch.Tensor, rejected: torch.Tensor, log_probs: tuple[torch.Tensor, torch.Tensor]) -> Sums:
    """trl's metrics of pairs, by its names, from rewards and log-probs of responses, each [pairs]."""
    values = {
        "rewards/chosen": chosen,
        "rewards/rejected": rejected,
        "rewards/margins": chosen - rejected,
        "rewards/accuracies": (chosen > rejected).float(),
        "logps/chosen": log_probs[0],
        "logps/rejected": log_probs[1],
    }
    return summed(values)


def summed(values: dict[str, torch.Tensor]) -> Sums:
    """Sums and counts of metrics that have a value for each unit."""
    return {name: (each.detach().sum(), each.numel()) for name, each in values.items()}
