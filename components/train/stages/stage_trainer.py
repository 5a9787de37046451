"""Trains a model in pipeline stages: the loop in the place of transformers' trainer, with the same records."""

# ruff: noqa: TID253 - imported by the job's own program only

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from transformers import TrainerControl, TrainerState

from components.shared.log import say
from components.shared.store.store import Store
from components.train.balance.measured_costs import StagesRecord
from components.train.checkpoints.checkpoint import stage_file_name
from components.train.checkpoints.mirror import Mirror
from components.train.engine.divergence import require_finite_gradients
from components.train.engine.earlier_epochs import EarlierEpochs
from components.train.engine.losses import StepBook
from components.train.engine.stream_losses import LossStream
from components.train.objectives.objective import Objective, Sums
from components.train.ranks import Ranks
from components.train.settings import TrainSettings
from components.train.stages.calibrate import DRIFT_ENTRY, ENTRY, STATE_FILE, plan_counts
from components.train.stages.checkpoint import load_random_states, load_state, save_random_states, stage_state
from components.train.stages.job_pipelines import JobPipeline
from components.train.stages.optimizer import Gradients, Masters, make_schedule
from components.train.stages.pack_steps import PackedSteps, packed_rows, padded
from components.train.stages.pipeline import StagePipeline
from components.train.stages.watch_drift import DriftWatch

SCHEDULE_FILE = "scheduler.pt"
POSITIONS, PADDING = "positions", "positions_padding"
"""Of a step's log, and counts: positions of all micro-batches, and how many of them are padding."""
DRIFT_COUNT = "stage_drifts"
"""Of counts: jobs of the training in which the stages stopped to fit their devices; left out where there is none."""


class StageTrainer:
    """One process's part in a training by stages.

    `book`, `mirror`, `store`, `earlier`, `stream` and `plan`, the record of how layers were chosen, are set before use.

    Args:
        settings: of the training.
        ranks: this process among all.
        folder: of this machine, for a checkpoint's files until they are uploaded.
        objective: the loss.
        rows: the data set.
        steps: its rows, dealt to micro-batches.
        pipelines: of the job; the first one's processes write the model and checkpoints' weights.
        pipeline: this process's stages.
        masters: this process's trained weights.
        optimizer: of these.
        gradients: of these.
        outline: the complete model without weights.
        device: of this process.
    """

    book: StepBook
    mirror: Mirror
    store: Store
    earlier: EarlierEpochs | None = None
    stream: LossStream | None = None
    plan: StagesRecord | None = None

    def __init__(
        self,
        *,
        settings: TrainSettings,
        ranks: Ranks,
        folder: Path,
        objective: Objective[Any],
        rows: Any,
        steps: PackedSteps,
        pipelines: Sequence[JobPipeline],
        pipeline: StagePipeline,
        masters: Masters,
        optimizer: torch.optim.AdamW,
        gradients: Gradients,
        outline: Any,
        device: torch.device,
    ) -> None:
        self._settings, self._ranks, self._folder = settings, ranks, folder
        self._objective, self._rows, self._steps = objective, rows, steps
        self._pipeline, self._masters, self._optimizer, self._gradients = pipeline, masters, optimizer, gradients
        self._device, self._pipelines = device, pipelines
        self._own = next(each for each in pipelines if ranks.rank in each.ranks)
        scheduled = len(steps.order) // steps.rows
        self._schedule = make_schedule(settings, optimizer, scheduled)
        self.model = outline
        # transformers' trainer continues from it too, and reads these.
        self.state = TrainerState(
            max_steps=scheduled,
            num_train_epochs=1,
            train_batch_size=steps.rows,
            logging_steps=1,
            save_steps=settings.checkpoint_steps or 1,
            stateful_callbacks={TrainerControl.__name__: TrainerControl().state()},
        )

    @property
    def counts(self) -> dict[str, float]:
        """Counts for the manifest: what padding all micro-batches to one length took."""
        logs = [entry for entry in self.state.log_history if PADDING in entry]
        sums = {name: sum(entry[name] for entry in logs) for name in (POSITIONS, PADDING)}
        drifts = sum(DRIFT_ENTRY in entry for entry in self.state.log_history)
        found = {"micro_batch_length": self._steps.length, **sums, **plan_counts(self.state.log_history)}
        return found | ({DRIFT_COUNT: drifts} if drifts else {})

    def train(self, resume_from_checkpoint: str | None = None) -> None:
        """Train to the last step, from a checkpoint's folder where one is given. Raises DivergedError."""
        if resume_from_checkpoint is not None:
            self._resume(Path(resume_from_checkpoint))
        if self.plan is not None:
            entry = {ENTRY: self.plan.model_dump(mode="json"), "step": self.plan.step}
            self.state.log_history.append(entry)
        watch = DriftWatch(self._pipeline.stages.values())
        while self.state.global_step < self.book.steps:
            self._step()
            every, step = self._settings.checkpoint_steps, self.state.global_step
            drifted = self._note_drift(watch)
            if every and (drifted or step % every == 0) and step < self.book.steps:
                self._save_checkpoint(step)

    def gathered(self, keep: bool) -> dict[str, torch.Tensor]:
        """All trained weights on the CPU, by name, where `keep` is set; every process calls it."""
        fp32 = self._settings.saved_weights == "fp32"
        weights = self._masters.tensors if fp32 else self._masters.weights
        own = {name: weight.detach().cpu() for name, weight in weights.items()} if self._is_writer else {}
        parts: list[Any] | None = [None] * self._ranks.world if keep else None
        torch.distributed.gather_object(own, parts)
        return {name: weight for part in parts or () for name, weight in part.items()}

    @property
    def _is_writer(self) -> bool:
        """Whether this process is of the first pipeline; the others' weights are the same."""
        return self._ranks.rank in self._pipelines[0].ranks

    def _resume(self, folder: Path) -> None:
        self.state = TrainerState.load_from_json(str(folder / STATE_FILE))
        step = self.state.global_step
        load_state(folder, step, self._masters.tensors, self._optimizer)
        self._masters.give_back()
        load_random_states(folder, self._ranks)
        for _ in range(step):
            self._schedule.step()

    def _step(self) -> None:
        batches = self._batches(self.state.global_step)
        used = sum(packed_rows(batch).tokens for batch in batches)
        units = sum(self._objective.units(batch) for batch in batches)
        self._optimizer.zero_grad()
        loss, sums = self._pipeline.step(self._ready(self._own.part_of(batches)), units)
        self._masters.take_gradients()
        self._gradients.reduce()
        norm = self._gradients.clip(self._settings.max_grad_norm)
        logs = self._shared(loss, sums) | {"grad_norm": norm, "learning_rate": self._schedule.get_last_lr()[0]}
        positions = len(batches) * self._steps.length
        logs |= {POSITIONS: positions, PADDING: positions - used}
        self.book.record_wait(self.mirror.snapshot.settle())
        self._optimizer.step()
        self._masters.give_back()
        self._schedule.step()
        self.state.global_step += 1
        self._log(logs)

    def _note_drift(self, watch: DriftWatch) -> bool:
        """Record stages that no longer fit, if that was found at this step; the same in all processes."""
        found = watch.after_step(self.state.global_step)
        if found is None:
            return False
        self.state.log_history.append({DRIFT_ENTRY: found.model_dump(mode="json"), "step": found.step})
        if self._ranks.is_main:
            say(self.book.task, f"{found}. {_remedy(self._settings)}")
        return True

    def _batches(self, step: int) -> list[Any]:
        """A step's micro-batches; in processes of last stages their own with what the rows beside them have shown."""
        numbers = self._steps.micro_batches_of(step)
        pairs = [self._objective.apart(self._objective.collate(self._rows.__getitems__(each))) for each in numbers]
        own, beside = zip(*pairs, strict=True)
        if beside[0] is None:
            return list(own)
        scores = self._pipeline.score(self._ready(self._own.part_of(beside)), reference=False)
        found = self._of_all([scores[number][0].cpu() for number in sorted(scores)])
        if not scores:
            return list(own)
        return self._objective.informed(own, found, self._steps.places_of(step))

    def _of_all(self, own: list[torch.Tensor]) -> list[torch.Tensor]:
        """What the last stages have of each micro-batch of a step, from the first to the last."""
        if len(self._pipelines) == 1:
            return own
        parts: list[Any] = [None] * self._ranks.world
        torch.distributed.all_gather_object(parts, own)
        return [each for pipeline in self._pipelines for each in parts[pipeline.last_rank]]

    def _ready(self, batches: Sequence[Any]) -> list[Any]:
        """Micro-batches of one length on this device."""
        return [padded(batch, self._steps.length).to(self._device) for batch in batches]

    def _shared(self, loss: torch.Tensor, sums: Sums) -> dict[str, Any]:
        """The step's loss and metrics, of which each last stage has a part, in all processes."""
        own = (loss.item(), {name: (float(total), float(count)) for name, (total, count) in sums.items()})
        parts: list[Any] = [None] * self._ranks.world
        torch.distributed.all_gather_object(parts, own)
        found = [parts[pipeline.last_rank] for pipeline in self._pipelines]
        return {"loss": sum(loss for loss, _ in found), **self._objective.complete(means([each for _, each in found]))}

    def _log(self, logs: dict[str, Any]) -> None:
        step = self.state.global_step
        logs |= self.book.record(step, logs)
        require_finite_gradients(step, skipped=0 if logs["grad_norm"] < float("inf") else 1)
        self.state.log_history.append({**logs, "step": step})
        if self.stream is not None:
            self.stream.follow(self.state.log_history)
        if self.earlier is not None:
            self.earlier.after_step(self)

    def _save_checkpoint(self, step: int) -> None:
        began, folder = time.monotonic(), self._folder / f"checkpoint-{step}"
        folder.mkdir(parents=True, exist_ok=True)
        name = stage_file_name(self._ranks.rank, self._ranks.world)
        if self._is_writer:
            self.mirror.snapshot.add(stage_state(self._masters.tensors, self._optimizer), str(folder / name))
        save_random_states(folder, self._ranks)
        if self._ranks.is_main:
            self.state.save_to_json(str(folder / STATE_FILE))
            torch.save(self._schedule.state_dict(), folder / SCHEDULE_FILE)
        self.mirror.add(step, folder)
        self.book.record_checkpoint(step, time.monotonic() - began)


def _remedy(settings: TrainSettings) -> str:
    """What a person does about stages that no longer fit."""
    assert settings.stages is not None, "settings with a block of stages"
    if settings.stages.layers is not None:
        return "stages.layers lists them: change it, or leave it out, so that layers follow measured costs"
    if settings.launch.speeds is not None:
        return "They follow launch.speeds: change them, or leave them out, so that speeds are measured"
    if not settings.checkpoint_steps:
        return "With checkpoint_steps, a run that is cancelled and started again continues, and measures costs again"
    return "Cancel the run and start it again: it continues from the newest checkpoint, and measures costs again"


def means(parts: Sequence[Mapping[str, tuple[float, float]]]) -> dict[str, float]:
    """Metrics by name, from each pipeline's sums and counts; those that nothing was summed for are left out."""
    sums = {name: [sum(part[name][place] for part in parts) for place in (0, 1)] for name in parts[0]}
    return {name: total / count for name, (total, count) in sums.items() if count}
