"""KTO on judged rows; `methods/kto.py` has its equations."""

# ruff: noqa: TID253 - imported by the job's own program only

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from components.models.forward.captured_keys import CapturedKeys
from components.models.forward.example import Example
from components.models.forward.pack import pack, pack_continuations
from components.models.forward.packed_model import PackedModel
from components.models.forward.packed_rows import PackedRows
from components.train.objectives.objective import Graded, Objective, Row, Sums, column, means_over_ranks, token_ids


@dataclass(frozen=True, eq=False)
class JudgedBatch:
    """A micro-batch of judged rows.

    Attributes:
        packed: the rows.
        desirable: bool [rows].
        others: for each row another response, whose log-probs after the row's prompt estimate the reference point;
            empty without one.
        prompts: token ids of each row's prompt.
        reference: log-probs of the responses under the reference [rows]; None before they are computed.
        other_reference: the same of the other responses.
        points: the reference point of each row [rows] where it is known before its pass; None: it is found in it.
    """

    packed: PackedRows
    desirable: torch.Tensor
    others: tuple["array[int]", ...] = ()
    prompts: tuple["array[int]", ...] = ()
    reference: torch.Tensor | None = None
    other_reference: torch.Tensor | None = None
    points: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.desirable)

    def to(self, device: torch.device) -> "JudgedBatch":
        """The same batch on a device."""
        names = ("packed", "desirable", "reference", "other_reference", "points")
        given = {name: getattr(self, name) for name in names}
        moved: dict[str, Any] = {name: None if each is None else each.to(device) for name, each in given.items()}
        return replace(self, **moved)


class KtoObjective(Objective[JudgedBatch]):
    """Units are rows. A forward pass of all ranks holds the rows that estimate a reference point, or several ones.

    Args:
        beta: how strongly the model is held to the reference.
        weights: lambda of undesirable and of desirable rows.
        max_length: tokens of a prompt and another response; longer ones are truncated.
        kl_batch: rows of all ranks that estimate a reference point z0, in the order of a micro-batch; None: log-ratios
            are compared with 0 (apo_zero_unpaired).
        reference_batch: rows of one process in a forward pass of the reference.
    """

    def __init__(
        self,
        *,
        beta: float,
        weights: tuple[float, float],
        max_length: int,
        kl_batch: int | None,
        reference_batch: int,
    ) -> None:
        self._beta, self._weights, self._max_length = beta, weights, max_length
        self._kl_batch, self.reference_batch = kl_batch, reference_batch
        self.reference_columns = ("ref_logps",) if kl_batch is None else ("ref_logps", "ref_KL_logps")

    def collate(self, rows: Sequence[Row]) -> JudgedBatch:
        """Pack columns `prompt_ids` and `completion_ids`; beside them `label`, `KL_completion_ids`, the reference."""
        examples = [Example(token_ids(row["prompt_ids"]), token_ids(row["completion_ids"])) for row in rows]
        others = (
            tuple(
                token_ids(row["KL_completion_ids"])[: self._max_length - len(example.prompt)]
                for row, example in zip(rows, examples, strict=True)
            )
            if self._kl_batch is not None
            else ()
        )
        desirable = torch.tensor([bool(row["label"]) for row in rows])
        prompts = tuple(example.prompt for example in examples)
        reference = column(rows, "ref_logps"), column(rows, "ref_KL_logps")
        return JudgedBatch(pack(examples), desirable, others, prompts, *reference)

    def apart(self, batch: JudgedBatch) -> tuple[JudgedBatch, JudgedBatch | None]:
        """The rows, and their prompts with the other responses."""
        if not batch.others:
            return batch, None
        pairs = [Example(prompt, other) for prompt, other in zip(batch.prompts, batch.others, strict=True)]
        return replace(batch, others=()), JudgedBatch(pack(pairs), batch.desirable)

    def informed(
        self, batches: Sequence[JudgedBatch], found: Sequence[torch.Tensor], places: Sequence[Sequence[int]]
    ) -> list[JudgedBatch]:
        """The rows with their reference points, of consecutive rows of the step."""
        assert self._kl_batch is not None, "a loss without a reference point has no other responses"
        ratios = torch.empty(sum(map(len, batches)), device=found[0].device)
        for batch, log_probs, at in zip(batches, found, places, strict=True):
            assert batch.other_reference is not None, "the reference is computed before"
            ratios[list(at)] = log_probs - batch.other_reference
        points = means_over_ranks(ratios, self._kl_batch, spans_ranks=False).clamp(min=0)
        of_rows = points.repeat_interleave(self._kl_batch)
        return [replace(batch, points=of_rows[list(at)]) for batch, at in zip(batches, places, strict=True)]

    def units(self, batch: JudgedBatch) -> int:
        """Its rows."""
        return len(batch)

    def grade(self, model: PackedModel, batch: JudgedBatch) -> Graded:
        """A graded pass over the rows, and an ungraded one over the other responses, which reuses the prompts."""
        assert batch.reference is not None, "the reference is computed before"
        log_probs, others = self._log_probs(model, batch)
        ratios = log_probs - batch.reference
        sums: Sums = {}
        point = torch.zeros((), device=ratios.device)
        if others is not None:
            assert batch.other_reference is not None, "the reference is computed before"
            points = self._reference_points(others - batch.other_reference)
            sums["kl"] = (points.sum(), len(points))
            point = points.repeat_interleave(len(others) // len(points))
        elif batch.points is not None:
            point = batch.points
            sums["kl"] = (point.sum(), len(point))
        signs = torch.where(batch.desirable, 1.0, -1.0)
        undesirable, desirable = self._weights
        weights = torch.where(batch.desirable, desirable, undesirable)
        losses = weights * (1 - torch.sigmoid(self._beta * signs * (ratios - point)))
        return Graded(losses.sum(), sums | self._rewards(batch, ratios.detach(), log_probs.detach()))

    def complete(self, means: dict[str, float]) -> dict[str, float]:
        """The margin is the difference of both kinds' means."""
        if {"rewards/chosen", "rewards/rejected"} <= means.keys():
            return means | {"rewards/margins": means["rewards/chosen"] - means["rewards/rejected"]}
        return means

    def reference(self, model: PackedModel, batch: JudgedBatch) -> list[torch.Tensor]:
        """Summed log-probs of the responses, and of the other responses where there is a reference point."""
        log_probs, others = self._log_probs(model, batch)
        return [log_probs] if others is None else [log_probs, others]

    def _log_probs(self, model: PackedModel, batch: JudgedBatch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Summed log-probs of the rows' own responses, and of the others, which have no gradients: each [rows]."""
        captured = CapturedKeys() if batch.others else None
        hidden = model.hidden(batch.packed, captured)
        own = batch.packed.sum_by_row(model.log_probs(batch.packed, hidden))
        if captured is None:
            return own, None
        continued = pack_continuations(batch.packed, batch.others, captured).to(hidden.device)
        log_probs = model.continuation_log_probs(continued, hidden[batch.packed.prompt_ends])
        captured.release()
        return own, continued.sum_by_row(log_probs)

    def _reference_points(self, ratios: torch.Tensor) -> torch.Tensor:
        """z0 of each group of rows [groups], from the log-ratios of their other responses [rows]."""
        assert self._kl_batch is not None, "a loss without a reference point has no other responses"
        return means_over_ranks(ratios, self._kl_batch, spans_ranks=self.spans_ranks).clamp(min=0)

    def _rewards(self, batch: JudgedBatch, ratios: torch.Tensor, log_probs: torch.Tensor) -> Sums:
        kinds = {"chosen": batch.desirable.float(), "rejected": (~batch.desirable).float()}
        values = {"rewards": self._beta * ratios, "logps": log_probs}
        return {
            f"{name}/{kind}": ((each * mask).sum(), mask.sum())
            for name, each in values.items()
            for kind, mask in kinds.items()
        }
