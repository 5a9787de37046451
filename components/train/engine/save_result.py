"""Saves what a training made so far: the model, the record of steps and the counts, as the result of a job."""

import resource
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.launch.hand_back.files import JobResult
from components.shared.log import say
from components.shared.outputs.divergence import DIVERGED_FILE, Divergence
from components.shared.outputs.manifest import Cost, Shard
from components.shared.outputs.training_compute import TOKENS, tokens_spent
from components.shared.store.open_store import open_store
from components.shared.store.store import Store
from components.train.engine.divergence import DivergedError
from components.train.engine.losses import (
    DRIFT_FILE,
    LEFT_OUT,
    LOSSES_FILE,
    SHARES_FILE,
    STAGES_FILE,
    as_lines,
    drift_records,
    loss_counts,
    loss_records,
    shares_records,
    stages_records,
)
from components.train.engine.reference_output import ReferenceOutput
from components.train.engine.save_model import gather_weights, upload_folder, write_model
from components.train.job_file import TrainingJob
from components.train.methods.method import TrainingData, TrainingMethod
from components.train.ranks import Ranks
from components.train.settings import TrainSettings


@dataclass(frozen=True)
class ResultWriter:
    """Saves results of one training: at its end, and after the epochs that it hands over.

    Attributes:
        job: the training.
        settings: with what the job decided.
        method: of the training.
        ranks: this process among all; the first one writes.
        data: the rows, with their counts.
        budget: counts of the token budget; none without one.
        reference: of a method with a reference.
        start: the folder of the model that training started from.
        began: when this process started, in seconds of the monotonic clock.
    """

    job: TrainingJob
    settings: TrainSettings
    method: TrainingMethod[Any]
    ranks: Ranks
    data: TrainingData
    budget: dict[str, float]
    reference: ReferenceOutput
    start: Path
    began: float

    def save(self, trainer: Any, address: str, folder: Path, seconds: Mapping[str, float]) -> JobResult | None:
        """Write and upload the files; every process calls this, and the first one gets the result.

        Args:
            trainer: with the weights as they are now, and the log of the steps so far.
            address: where the files go.
            folder: an empty or missing folder of this machine.
            seconds: of the phases of the training so far, by name.

        Raises:
            DivergedError: a weight is not finite, and the settings do not take that for a result.
        """
        saving = time.monotonic()
        weights = gather_weights(trainer, self.settings, keep=self.ranks.is_main)
        counts = self._counts_of_ranks(trainer)
        if not self.ranks.is_main:
            return None
        try:
            write_model(trainer, weights, self.start, self.job, folder)
        except DivergedError as error:
            if self.settings.on_divergence == "fail":
                raise
            counts |= self._write_divergence(trainer, address, folder, error)
        return self._upload(trainer, address, folder, counts, {**seconds, "save": time.monotonic() - saving})

    def save_diverged(
        self, trainer: Any, address: str, folder: Path, seconds: Mapping[str, float], error: DivergedError
    ) -> JobResult | None:
        """As `save`, for a training that diverged: `diverged.json` in place of the model."""
        counts = self._counts_of_ranks(trainer)
        if not self.ranks.is_main:
            return None
        counts |= self._write_divergence(trainer, address, folder, error)
        return self._upload(trainer, address, folder, counts, seconds)

    def _write_divergence(self, trainer: Any, address: str, folder: Path, error: DivergedError) -> dict[str, float]:
        """Empty the folder but for `diverged.json`; returns what is counted of it."""
        step = trainer.state.global_step
        say(self.job.task, f"diverged, so there is no model: {error.problem}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        found = Divergence(training=address, step=step, problem=error.problem)
        (folder / DIVERGED_FILE).write_text(found.model_dump_json(indent=1) + "\n")
        return {"diverged": 1, "diverged_step": step}

    def _upload(
        self, trainer: Any, address: str, folder: Path, counts: dict[str, float], seconds: Mapping[str, float]
    ) -> JobResult:
        """Upload the folder with the record of steps, and count everything."""
        saving = time.monotonic()
        records = loss_records(trainer.state.log_history, self.method.metrics)
        (folder / LOSSES_FILE).write_bytes(as_lines(records))
        if shares := shares_records(trainer.state.log_history):
            (folder / SHARES_FILE).write_bytes(as_lines(shares))
        if stages := stages_records(trainer.state.log_history):
            (folder / STAGES_FILE).write_bytes(as_lines(stages))
        if drift := drift_records(trainer.state.log_history):
            (folder / DRIFT_FILE).write_bytes(as_lines(drift))
        store = open_store(self.job.root).at(address)
        beside = self.method.beside(trainer.state.log_history, self.settings)
        shards = (*upload_folder(store, folder), *self._copied(beside.shards, store))
        now = time.monotonic()
        counts |= self.data.counts | self.budget | self.reference.counts | beside.counts
        counts |= loss_counts(records, self.method.metrics)
        phases = {**seconds, "save": seconds.get("save", 0.0) + now - saving}
        counts |= {f"seconds_{name}": round(value, 3) for name, value in phases.items()}
        tokens = sum(record["tokens"] for record in records)
        stalls = trainer.book.checkpoint_seconds
        counts |= {"steps": len(records), TOKENS: tokens}
        if (allowed := self.job.allowed_tokens) is not None:
            counts |= {"tokens_allowed": allowed, "tokens_spent": tokens_spent(counts)}
        if self.job.settings.launch.may_shrink:
            on_fewer = sum(1 for record in records if LEFT_OUT in record)
            counts |= {LEFT_OUT: trainer.book.left_out, "steps_on_fewer_nodes": on_fewer}
        counts |= {"checkpoints": len(stalls), "seconds_checkpoints": round(sum(stalls), 4)}
        return JobResult(shards=shards, counts=counts, cost=Cost(seconds=round(now - self.began, 3), tokens_in=tokens))

    def _copied(self, shards: tuple[Shard, ...], store: Store) -> tuple[Shard, ...]:
        """What the trainer wrote to the training's own store, in the store of this result."""
        own = self.job.store
        for shard in shards if store.uri != own.uri else ():
            store.write(shard.name, own.read(shard.name))
        return shards

    def _counts_of_ranks(self, trainer: Any) -> dict[str, float]:
        """Counts of the processes and parameters, the highest peak of memory of any process (MiB), the trainer's."""
        import torch

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
        own = dict(getattr(trainer, "counts", {}))
        found: list[Any] = [None] * self.ranks.world
        torch.distributed.all_gather_object(found, (peak, gpu, own.get("passes_without_weight", 0)))
        if "passes_without_weight" in own:
            own["passes_without_weight"] = sum(passes for _, _, passes in found)
        sizes = [(getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in trainer.model.parameters()]
        return {
            "ranks": self.ranks.world,
            "parameters": sum(size for size, _ in sizes),
            "parameters_trained": sum(size for size, trained in sizes if trained),
            "peak_memory_mib": round(max(memory for memory, _, _ in found)),
            "peak_gpu_memory_mib": round(max(memory for _, memory, _ in found)),
            **own,
        }
