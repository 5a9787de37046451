"""One process of a training, from its imports to the result."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from components.launch.fewer_nodes import all_nodes
from components.launch.hand_back.files import JobResult
from components.models.stored.stored_model import read_folder
from components.shared.errors import SettingsError
from components.shared.log import say
from components.shared.outputs.library import Library
from components.shared.process.signals import sigterm_raises
from components.shared.text.counted import counted
from components.train.batches.budgeted_order import MicroBatchOrder
from components.train.batches.build_dataset import Template
from components.train.batches.spend_tokens import spend_tokens
from components.train.batches.split import split_batch
from components.train.batches.token_files import SharedFiles
from components.train.check_start import check_start_here, check_tokens
from components.train.checkpoints.checkpoint import Fetched, fetch, fetch_newest
from components.train.checkpoints.convert_checkpoint import convert
from components.train.checkpoints.convert_stages import convert_for_stages, convert_from_stages, require_named
from components.train.checkpoints.mirror import Mirror
from components.train.engine.deepspeed_config import engine_config, zero_stage
from components.train.engine.divergence import DivergedError, require_finite_reference
from components.train.engine.earlier_epochs import EarlierEpochs, drop_later_checkpoints
from components.train.engine.epoch_steps import EpochSteps, epoch_steps
from components.train.engine.fit_memory import fit_memory
from components.train.engine.forward_passes import micro_batch_order, pass_size
from components.train.engine.join_ranks import barrier, cpu_has_bf16, join_ranks, leave_ranks, prepare_environment
from components.train.engine.load_model import end_tokens, fetch_start, load_start, load_tokenizer
from components.train.engine.losses import StepBook
from components.train.engine.make_trainer import TrainerParts, import_trainer, make_trainer
from components.train.engine.record_steps import background_checkpoints, current_steps, engine_watch, separate_counts
from components.train.engine.reference_output import ReferenceOutput
from components.train.engine.save_result import ResultWriter
from components.train.engine.share_by_speed import speed_shares
from components.train.engine.stream_losses import LossStream
from components.train.engine.token_cache import token_cache
from components.train.engine.trainer_arguments import trainer_arguments
from components.train.fewer_ranks import settings_here
from components.train.job_file import TrainingJob
from components.train.methods.method import TrainingData
from components.train.methods.registry import method_of
from components.train.ranks import Ranks

SHOWN_CHARACTERS = 80


def end_of_grace() -> SystemExit:
    """What SIGTERM raises: a pod then has half a minute, in which the upload that is under way completes."""
    return SystemExit(128 + signal.SIGTERM)


class TrainingProcess:
    """One process's part in a training."""

    def __init__(self, job: TrainingJob, ranks: Ranks, scratch: Path) -> None:
        self.job, self.ranks, self.scratch = job, ranks, scratch
        self.settings, self.method = settings_here(job.settings), method_of(job.settings)
        self.left_out = len(all_nodes(job.settings.launch)) - len(all_nodes(self.settings.launch))
        self.split = split_batch(self.settings, ranks.world)
        self.reference = ReferenceOutput(job, ranks)
        self.seconds: dict[str, float] = {}
        self.budget_counts: dict[str, float] = {}

    def run(self) -> JobResult | None:
        """Train, from the imports to the result, which only the first process returns."""
        began = time.monotonic()
        with self._phase("imports"):
            prepare_environment()
            on_cpu = join_ranks()
            import_trainer()
        self._check_precision(on_cpu)
        with self._phase("data"):
            start = fetch_start(self.job.start, self.ranks, self.settings)
            check_start_here(start, self.job.start, self.settings, self.job.task)
            tokenizer, data = self._prepare_data(start)
        with self._phase("checkpoint"):
            steps = self._steps(data)
            found = self._fetch_checkpoint(steps)
        with self._phase("model"):
            trainer = self._ready_trainer(on_cpu, start, tokenizer, data, steps, found)
        writer = ResultWriter(
            job=self.job,
            settings=self.settings,
            method=self.method,
            ranks=self.ranks,
            data=data,
            budget=self.budget_counts,
            reference=self.reference,
            start=start,
            began=began,
        )
        with self._phase("train"):
            trainer.earlier = self._earlier(steps, writer)
            diverged = self._train_or_diverge(trainer, found, partial(_beginning, tokenizer, data))
        address, folder = self.job.address, self.scratch / "out"
        if diverged is None:
            result = writer.save(trainer, address, folder, self.seconds)
        else:
            trainer.earlier.after_divergence(trainer, diverged)
            result = writer.save_diverged(trainer, address, folder, self.seconds, diverged)
        leave_ranks()
        return result

    def _ready_trainer(  # noqa: PLR0917 - what the phases before have made
        self,
        on_cpu: bool,
        start: Path,
        tokenizer: Any,
        data: TrainingData,
        steps: EpochSteps,
        found: Fetched | None,
    ) -> Any:
        """The trainer with its record of steps, with ZeRO or in stages."""
        if self.settings.stages is not None:
            trainer = self._make_stage_trainer(start, data, found)
        else:
            self._fit_memory(start, data, found)
            universal = found is not None and found.needs_conversion(self.ranks.world)
            config = engine_config(self.settings, on_cpu, universal)
            trainer = self._make_trainer(config, start, tokenizer, data, steps)
            if universal:
                trainer.add_callback(separate_counts(trainer))
        tokens = data.lengths[data.order].reshape(steps.scheduled, -1).sum(axis=1)
        trainer.book = StepBook(
            self.job.task,
            data.order,
            tokens,
            self.split.global_batch,
            steps.last,
            allowed=self.job.allowed_tokens,
            measures_compute=self.job.allowed_tokens is not None and data.fewest is not None,
            left_out=self.left_out,
        )
        trainer.store = self.job.store
        return trainer

    def _check_precision(self, on_cpu: bool) -> None:
        if on_cpu and self.settings.precision == "bf16" and not cpu_has_bf16():
            raise SettingsError(
                "precision bf16 needs a GPU, or a CPU with bf16 instructions, and this machine has neither",
                allowed=["fp32"],
                remedy="set precision to fp32, or train on a machine with a GPU",
            )

    def _fit_memory(self, start: Path, data: TrainingData, found: Fetched | None) -> None:
        """Decide what the settings leave to the job."""
        stored, ranks = read_folder(start, self.job.start), self.ranks.world
        size = pass_size(self.settings, self.split, data)
        self.settings = fit_memory(self.settings, stored, ranks, size, found=found, task=self.job.task)
        require_named(found, zero_stage(self.settings))

    def _prepare_data(self, start: Path) -> tuple[Any, TrainingData]:
        tokenizer = load_tokenizer(start, self.settings)
        check_tokens(start, self.job.start, tokenizer)
        template = Template(tokenizer, end_tokens(start, tokenizer), self.job.start)
        library = Library(self.job.root)
        dataset = library.load(self.job.dataset)
        files = SharedFiles(
            cache=token_cache(dataset, self.method, self.settings, start),
            scratch=self.scratch / "tokens",
            writes=self.ranks.is_local_main,
            barrier=barrier,
            log=partial(say, self.job.task),
        )

        def prepare(epochs: int) -> TrainingData:
            rows = library.read_rows(dataset, self.method.row_type, part=self.method.part)
            settings = self.settings.model_copy(update={"epochs": epochs})
            return self.method.prepare(rows, template, settings, self.split, files)

        data = prepare(self.settings.epochs)
        if self.job.allowed_tokens is not None:
            data = spend_tokens(data, self.job.allowed_tokens, self.settings, prepare)
            self._require_own_schedule(data)
        for note in data.notes if self.ranks.is_main else ():
            say(self.job.task, note)
        return tokenizer, data

    def _require_own_schedule(self, data: TrainingData) -> None:
        config = self.settings.deepspeed_config
        if data.fewest is not None and isinstance(config, dict) and "scheduler" in config:
            raise SettingsError(
                "deepspeed_config has a scheduler, and only measurement shows how many steps the budget allows",
                rule="the learning rate of such a training follows the share of the budget that is spent",
                remedy="leave the scheduler out of deepspeed_config, and set scheduler and warmup_share",
            )

    def _steps(self, data: TrainingData) -> EpochSteps:
        scheduled = len(data.order) // self.split.global_batch
        if self.job.allowed_tokens is not None:
            return EpochSteps(scheduled, scheduled, {})
        return epoch_steps(self.settings, scheduled, self.job.earlier)

    def _make_stage_trainer(self, start: Path, data: TrainingData, found: Fetched | None) -> Any:
        """The trainer of a model in pipeline stages."""
        from components.train.stages.make_stage_trainer import make_stage_trainer
        from components.train.stages.pack_steps import PackedSteps

        objective = self.method.objective(self.settings, data)
        assert self.settings.stages is not None and objective is not None, "checked with the settings"
        rows, micro_batches = self.split.global_batch, self.settings.stages.micro_batches
        return make_stage_trainer(
            self.settings,
            self.settings.stages,
            objective,
            data.dataset(),
            PackedSteps(data.order, data.pass_positions, rows, micro_batches),
            start=start,
            name=self.job.start,
            reference=self.reference,
            folder=self.scratch / "run",
            task=self.job.task,
            earlier=found,
        )

    def _make_trainer(
        self, config: dict[str, Any], start: Path, tokenizer: Any, data: TrainingData, steps: EpochSteps
    ) -> Any:
        from transformers import PrinterCallback

        trainer = make_trainer(
            TrainerParts(
                method=self.method,
                settings=self.settings,
                task=self.job.task,
                common=trainer_arguments(self.settings, self.split, steps.scheduled, self.scratch / "run", config),
                data=data,
                dataset=data.dataset(),
                reference=self.reference,
                tokenizer=tokenizer,
                load=lambda: load_start(start, self.job.start, self.settings),
                micro_batches=micro_batch_order(self.settings, data, self.ranks),
            )
        )
        self._report_budget(getattr(trainer, "micro_batches", None))
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(engine_watch(trainer))
        trainer.add_callback(current_steps())
        if self.settings.shares == "speed":
            trainer.add_callback(speed_shares(trainer, self.settings, self.job.task, self.ranks))
        return trainer

    def _report_budget(self, micro_batches: MicroBatchOrder | None) -> None:
        """Note what exceeds the token budget; a padded trainer has none."""
        if micro_batches is not None and self.ranks.is_main:
            self.budget_counts = micro_batches.counts
            for note in micro_batches.notes():
                say(self.job.task, note)

    def _train_or_diverge(
        self, trainer: Any, found: Fetched | None, show: Callable[[int], str]
    ) -> DivergedError | None:
        """Train; returns the divergence that ended it where the settings take that for a result. All ranks agree."""
        try:
            require_finite_reference(self.reference.not_finite, show)
            self._train(trainer, found)
        except DivergedError as error:
            if self.settings.on_divergence == "fail":
                raise
            return error
        return None

    def _train(self, trainer: Any, found: Fetched | None) -> None:
        mirror = Mirror(self.job.store, self.ranks, self.settings.checkpoints_kept, self.job.task)
        if self.ranks.is_main:
            trainer.stream = LossStream(self.job.store, self.job.task, self.method.metrics)
        if self.settings.stages is not None:
            trainer.mirror = mirror
        else:
            trainer.add_callback(background_checkpoints(trainer, mirror))
        trainer.book.begin(found.step if found else 0, show=self.ranks.is_main)
        try:
            with sigterm_raises(end_of_grace):
                trainer.train(resume_from_checkpoint=str(found.folder) if found else None)
            trainer.book.end()
        finally:
            mirror.close()
            if trainer.stream is not None:
                trainer.stream.close()

    def _earlier(self, steps: EpochSteps, writer: ResultWriter) -> EarlierEpochs:
        began = time.monotonic()
        return EarlierEpochs(steps, writer, self.scratch, lambda: {**self.seconds, "train": time.monotonic() - began})

    def _fetch_checkpoint(self, steps: EpochSteps) -> Fetched | None:
        """The newest complete checkpoint, the same on every machine, converted for this number of processes."""
        import torch.distributed

        folder = self.scratch / "resume"
        shared: list[Fetched | None] = [None]
        if self.ranks.is_main:
            drop_later_checkpoints(self.job, steps)
            shared[0] = fetch_newest(self.job.store, folder, self.job.task)
        torch.distributed.broadcast_object_list(shared)
        found = shared[0]
        if found is None:
            return None
        found = replace(found, folder=folder / found.folder.name)
        if self.ranks.is_main:
            made = "" if found.ranks == self.ranks.world else f", written by {found.ranks} processes"
            lost = f", without {counted(self.left_out, 'lost node')}" if self.left_out else ""
            say(self.job.task, f"continuing from the checkpoint of step {found.step}{made}{lost}")
        elif self.ranks.is_local_main:
            fetch(self.job.store, found.step, folder)
        if self.ranks.is_local_main:
            self._convert(found)
        barrier()
        return found

    def _convert(self, found: Fetched) -> None:
        """Convert a checkpoint of other processes, or of stages for processes without them, and back."""
        if self.settings.stages is not None:
            convert_for_stages(found, self.ranks.world)
        elif found.by_stages:
            convert_from_stages(found, self.ranks.world)
        elif found.ranks != self.ranks.world:
            convert(found, self.ranks.world)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - began


def _beginning(tokenizer: Any, data: TrainingData, row: int) -> str:
    """The beginning of a row as the model reads it, for messages."""
    tokens = data.dataset()[row]
    ids = next(tokens[name] for name in tokens if name.endswith("_ids"))
    return str(tokenizer.decode(ids))[:SHOWN_CHARACTERS]
