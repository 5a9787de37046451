"""transformers' trainer on packed batches: one graded forward pass over the real tokens of a micro-batch."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch.utils.data import DataLoader
from transformers import Trainer

from components.models.forward.check_packed import packed_model
from components.models.forward.packed_model import PackedModel
from components.train.batches.balanced_order import BalancedOrder
from components.train.batches.budgeted_order import MicroBatchOrder
from components.train.engine.pass_clock import PassClock
from components.train.methods.reference_log_probs import with_reference
from components.train.objectives.objective import Objective, Sums


@dataclass(frozen=True, eq=False)
class Weightless:
    """A micro-batch that is computed again without weight, because other ranks make more passes in this step."""

    batch: Any

    def to(self, device: torch.device) -> "Weightless":
        """The same on a device."""
        return Weightless(self.batch.to(device))


class PackedTrainer(Trainer):
    """Trains by an objective. `begin_packing` must be called before anything is computed.

    The loss that goes backward is the micro-batch's sum over the mean of the ranks' units in a step: DeepSpeed averages
    gradients over ranks, so the step's gradient is that of the mean over all its units, however they are spread.

    Args:
        objective: the loss, whose rows are the data set's.
        micro_batches: the rows of each, where a budget limits them or shares follow speed; None: an equal number, as
            the arguments say.
        given: arguments of transformers' trainer.

    Attributes:
        clock: times forward passes that have weight, if it is set.
        own_clock: times this rank's own work in a step, if it is set; who sets it stops it at the reduction.
        counts: of this rank's passes without weight, and of what dealing by speed did.
    """

    loss_is_scaled_for_ga = True
    packed: PackedModel
    train_dataset: Any

    def __init__(
        self, *, objective: Objective[Any], micro_batches: MicroBatchOrder | None = None, **given: Any
    ) -> None:
        super().__init__(data_collator=objective.collate, **given)
        self.objective, self.micro_batches = objective, micro_batches
        self.clock: PassClock | None = None
        self.own_clock: PassClock | None = None
        self._counting: Any = None
        self.counts: dict[str, float] = {}
        self._load = 0
        if isinstance(micro_batches, BalancedOrder):
            objective.spans_ranks = False
            self.counts = {"passes_without_weight": 0, "shares_changed": 0}
        self._sums: dict[str, torch.Tensor] = {}
        if not objective.uses_dropout:
            _disable_dropout(self.model)

    def begin_packing(self) -> None:
        """Check that the model computes the same on packed rows. Raises ModelError when it does not."""
        with _weights_in_place(self):
            self.packed = packed_model(self.model)

    def add_reference(self, budget: int | None) -> None:
        """Compute the reference's log-probs, which the objective's rows need, as columns of the data set.

        Args:
            budget: most positions of one process in a forward pass, as in training; None: only rows are limited.
        """
        if names := self.objective.reference_columns:
            rows = self.objective.reference_batch
            self.train_dataset = with_reference(self, self.train_dataset, rows, names, budget)

    def compute_ref_log_probs(self, model: Any, batch: Any) -> list[torch.Tensor]:
        """Log-probs of a batch under the reference, the model without adapters: [rows] for each column.

        Args:
            model: the trainer's model, or DeepSpeed's engine around it.
            batch: by the objective's `collate`.
        """
        self.model.eval()
        with torch.no_grad(), getattr(self.model, "disable_adapter", nullcontext)():
            found = self.packed.run(model, lambda: tuple(self.objective.reference(self.packed, batch)))
        return list(found)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """transformers' own, or this rank's micro-batches; an empty place of theirs is None."""
        if self.micro_batches is None:
            return super().get_train_dataloader()
        return DataLoader(self.train_dataset, batch_sampler=self.micro_batches, collate_fn=self._collate)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """The forward and backward pass of a micro-batch, and nothing at an empty place."""
        if inputs is None:
            return torch.zeros((), device=self.args.device)
        return super().training_step(model, inputs, num_items_in_batch)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The micro-batch's part of the step's loss; of its own mean where the step's units are not given."""
        assert not return_outputs, "only evaluation during training asks for outputs, and there is none"
        if isinstance(inputs, Weightless):
            # Gradients of 0, in the same order as everywhere: ranks reduce them in that order.
            return 0 * self._graded(model, inputs.batch)[0]
        with self.clock.running() if self.clock else nullcontext():
            loss, sums = self._graded(model, inputs)
        self._add(sums)
        self._await_units()
        if num_items_in_batch is None:
            return loss / self.objective.units(inputs)
        return loss * (self.args.world_size / num_items_in_batch)

    def _graded(self, model: Any, batch: Any) -> tuple[torch.Tensor, Sums]:
        """The sum of a micro-batch's loss, and its metrics."""
        found: list[Sums] = []

        def forward() -> torch.Tensor:
            graded = self.objective.grade(self.packed, batch)
            found.append(graded.sums)
            return graded.loss

        # Hooks may return another tensor than the forward pass did.
        loss: torch.Tensor = self.packed.run(model, forward)
        return loss, found[0]

    def take_load(self) -> int:
        """Positions of this rank since the last call."""
        load, self._load = self._load, 0
        return load

    def metrics(self) -> dict[str, float]:
        """The means of the metrics over all micro-batches since the last call, of all ranks. Every rank calls it."""
        if not self._sums:
            return {}
        sums = torch.stack(list(self._sums.values()))
        if self.args.world_size > 1:
            torch.distributed.all_reduce(sums)
        means = {name: total / count for name, (total, count) in zip(self._sums, sums.tolist(), strict=True) if count}
        self._sums = {}
        return self.objective.complete(means)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the metrics to a step's log."""
        if "loss" in logs:
            logs.update(self.metrics())
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: transformers' estimate is of padded positions, and nothing here reads it."""
        return 0

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """A step's micro-batches, and its units; with passes without weight where ranks must make equally many."""
        if self.own_clock is not None:
            self.own_clock.start()
        batches, units = super().get_batch_samples(epoch_iterator, num_batches, device)
        if isinstance(self.micro_batches, BalancedOrder):
            self._load += self.micro_batches.load
            if self.micro_batches.equally_many:
                batches = self._equally_many(batches, device)
        return batches, units

    def _equally_many(self, batches: list[Any], device: torch.device) -> list[Any]:
        """As many passes as the rank with the most makes; the rank's smallest micro-batch fills empty places."""
        mine = [batch for batch in batches if batch is not None]
        most = torch.tensor(len(mine), device=device)
        if self.args.world_size > 1:
            torch.distributed.all_reduce(most, op=torch.distributed.ReduceOp.MAX)
        missing = int(most) - len(mine)
        self.counts["passes_without_weight"] += missing
        smallest = Weightless(min(mine, key=self.objective.units))
        return [None] * (len(batches) - int(most)) + [smallest] * missing + mine

    def _collate(self, rows: Sequence[Any]) -> Any:
        return self.objective.collate(rows) if rows else None

    def _add(self, sums: Sums) -> None:
        for name, (total, count) in sums.items():
            value = torch.stack([total.detach().double(), torch.as_tensor(count, device=total.device).double()])
            self._sums[name] = value + self._sums[name] if name in self._sums else value

    def _prepare_inputs(self, inputs: Any) -> Any:
        return inputs.to(self.accelerator.device)

    def _get_num_items_in_batch(self, batch_samples: Sequence[Any], device: torch.device) -> torch.Tensor:
        """The units of a step, over all ranks: summed while the first pass is computed, which does not need them."""
        units = torch.tensor(
            sum(self.objective.units(batch) for batch in batch_samples if batch is not None), device=device
        )
        if self.args.world_size > 1:
            self._counting = torch.distributed.all_reduce(units, async_op=True)
        return units

    def _await_units(self) -> None:
        if self._counting is None:
            return
        if self.own_clock is not None:
            self.own_clock.stop()
        self._counting.wait()
        self._counting = None
        if self.own_clock is not None:
            self.own_clock.start()


@contextmanager
def _weights_in_place(trainer: PackedTrainer) -> Iterator[None]:
    """Let DeepSpeed gather each layer's weights under ZeRO-3, where every process holds a share before training."""
    if not trainer.is_deepspeed_enabled or trainer.accelerator.state.deepspeed_plugin.zero_stage != 3:
        yield
        return
    from trl.models import prepare_deepspeed

    engine = prepare_deepspeed(trainer.model, trainer.accelerator)
    try:
        yield
    finally:
        engine.destroy()


def _disable_dropout(model: torch.nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
