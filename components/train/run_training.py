"""The program of every training method, run by each process under torchrun."""

import argparse
import hashlib
import importlib
import json
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from components.launch.follow_parent import die_with_parent
from components.models.reference import cache_folder
from components.shared.errors import SettingsError
from components.shared.log import say
from components.shared.manifest import Cost, load_manifest
from components.shared.shards import read_rows
from components.train.build_dataset import Template, build_examples
from components.train.checkpoint import Fetched, fetch, fetch_newest
from components.train.convert_checkpoint import convert
from components.train.deepspeed_config import engine_config
from components.train.job_file import RESULT_FILE, TrainJob, TrainResult, read_job, write_file
from components.train.load_model import adapter_config, end_tokens, fetch_start, load_model, load_tokenizer
from components.train.losses import LOSSES_FILE, StepBook, loss_counts, loss_records
from components.train.method import Method, Prepared, trainer_arguments
from components.train.mirror import Mirror
from components.train.ranks import Ranks, barrier, join_ranks, leave_ranks, prepare_environment
from components.train.record_steps import background_checkpoints, engine_watch, mend_optimizer, recorded
from components.train.report_failure import reported
from components.train.save_model import gather_weights, upload_folder, write_model
from components.train.split import split_batch

FAILED_MARKER = "failed"


def preload_libraries(method: Method) -> None:
    """Import what a training needs, before its processes are forked. Nothing here may touch a GPU or join a group."""
    prepare_environment()
    for library in ("deepspeed", "datasets"):
        importlib.import_module(library)
    method.trainer_type()


def run_program(method: Method) -> None:
    """Train as the job file named by `--job` says; exits with a message and a code when it fails."""
    die_with_parent()
    parser = argparse.ArgumentParser(description="Train a model as a job file says.")
    parser.add_argument("--job", required=True, help="URI of the job file at the output's address")
    uri = parser.parse_args().job
    scratch = cache_folder() / "training" / hashlib.sha256(uri.encode()).hexdigest()[:16]
    ranks = Ranks.from_environment()
    if ranks.is_local_main:
        # What a killed run left here; its checkpoints are in the store.
        shutil.rmtree(scratch, ignore_errors=True)
    with reported("train", scratch / FAILED_MARKER):
        job = read_job(uri)
    with reported(job.task, scratch / FAILED_MARKER):
        Training(job, method, ranks, scratch).run()
    if ranks.is_local_main:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that the upload that is under way comes to its end: a pod has half a minute."""

    def end(number: int, frame: FrameType | None) -> None:
        # torchrun and a launcher may both send it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, before)


class Training:
    """One process's part in a training."""

    def __init__(self, job: TrainJob, method: Method, ranks: Ranks, scratch: Path) -> None:
        self.job, self.method, self.ranks, self.scratch = job, method, ranks, scratch
        self.settings = job.settings
        self.split = split_batch(job.settings, ranks.world)
        self.seconds: dict[str, float] = {}

    def run(self) -> None:
        """Everything from imports to the result file."""
        began = time.monotonic()
        with self._phase("imports"):
            prepare_environment()
            on_cpu = join_ranks()
            trainer_type = recorded(self.method.trainer_type(), self.job.task)
        self._check_precision(on_cpu)
        with self._phase("data"):
            start = fetch_start(self.job.start, self.ranks, self.settings)
            tokenizer, prepared = self._prepare_data(start)
        with self._phase("checkpoint"):
            found = self._fetch_checkpoint()
        with self._phase("model"):
            universal = found is not None and found.ranks != self.ranks.world
            config = engine_config(self.settings, on_cpu, universal)
            trainer = self._make_trainer(trainer_type, config, start, tokenizer, prepared)
        with self._phase("train"):
            if universal:
                trainer.add_callback(mend_optimizer(trainer))
            self._train(trainer, found)
        self._save(trainer, start, prepared, began)
        leave_ranks()

    def _check_precision(self, on_cpu: bool) -> None:
        if on_cpu and self.settings.precision == "bf16":
            raise SettingsError(
                "precision bf16 needs a GPU, and there is none here",
                allowed=["fp32"],
                remedy="set precision to fp32, or train on a machine with a GPU",
            )

    def _prepare_data(self, start: Path) -> tuple[Any, Prepared]:
        tokenizer = load_tokenizer(start, self.settings)
        template = Template(tokenizer, end_tokens(start, tokenizer), self.job.start)
        dataset = load_manifest(self.job.root, self.job.dataset)
        rows = read_rows(self.job.root, dataset, self.method.row_type, part=self.method.part)
        examples = build_examples(template, rows, self.settings)
        for line in examples.remarks() if self.ranks.is_main else ():
            say(self.job.task, line)
        prepared = self.method.prepare(examples.kept, self.settings, self.split)
        prepared.counts.update(examples.counts)
        for note in prepared.notes if self.ranks.is_main else ():
            say(self.job.task, note)
        return tokenizer, prepared

    def _make_trainer(
        self, trainer_type: type[Any], config: dict[str, Any], start: Path, tokenizer: Any, prepared: Prepared
    ) -> Any:
        from datasets import Dataset
        from transformers import PrinterCallback

        steps = len(prepared.order) // self.split.global_batch
        common = trainer_arguments(self.settings, self.split, steps, self.scratch / "run", config)
        # The arguments come before the model: under ZeRO-3 they make it load in parts.
        arguments = self.method.arguments(common, self.settings, prepared)
        dataset = Dataset.from_dict(prepared.columns)
        prepared.columns.clear()  # it is in the data set now, packed
        trainer = trainer_type(
            model=load_model(start, self.settings),
            args=arguments,
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=adapter_config(self.settings.lora),
        )
        tokens = prepared.lengths[prepared.order].reshape(steps, -1).sum(axis=1)
        trainer.book = StepBook(self.job.task, prepared.order, tokens, self.split.global_batch)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(engine_watch(trainer))
        return trainer

    def _train(self, trainer: Any, found: Fetched | None) -> None:
        mirror = Mirror(self.job.store, self.ranks, self.settings.checkpoints_kept, self.job.task)
        trainer.add_callback(background_checkpoints(trainer, mirror))
        trainer.book.begin(found.step if found else 0, show=self.ranks.is_main)
        try:
            with exit_on_sigterm():
                trainer.train(resume_from_checkpoint=str(found.folder) if found else None)
            trainer.book.end()
        finally:
            mirror.close()

    def _fetch_checkpoint(self) -> Fetched | None:
        """The newest whole checkpoint, the same on every machine, and made ready for this number of processes."""
        import torch.distributed

        folder = self.scratch / "resume"
        shared: list[Fetched | None] = [None]
        if self.ranks.is_main:
            shared[0] = fetch_newest(self.job.store, folder, self.job.task)
        torch.distributed.broadcast_object_list(shared)
        found = shared[0]
        if found is None:
            return None
        found = replace(found, folder=folder / found.folder.name)
        if self.ranks.is_main:
            made = "" if found.ranks == self.ranks.world else f", made by {found.ranks} processes"
            say(self.job.task, f"continuing from the checkpoint of step {found.step}{made}")
        elif self.ranks.is_local_main:
            fetch(self.job.store, found.step, folder)
        if self.ranks.is_local_main and found.ranks != self.ranks.world:
            convert(found, self.ranks.world)
        barrier()
        return found

    def _save(self, trainer: Any, start: Path, prepared: Prepared, began: float) -> None:
        with self._phase("save"):
            weights = gather_weights(trainer, self.settings, keep=self.ranks.is_main)
            counts = self._counts_of_ranks(trainer)
            if not self.ranks.is_main:
                return
            out = self.scratch / "out"
            write_model(trainer, weights, start, self.job, out)
            records = loss_records(trainer.state.log_history)
            (out / LOSSES_FILE).write_text(json.dumps(records) + "\n")
            shards = upload_folder(self.job.store, out)
        counts |= prepared.counts | loss_counts(records)
        counts |= {f"seconds_{name}": round(value, 3) for name, value in self.seconds.items()}
        tokens = sum(record["tokens"] for record in records)
        stalls = trainer.book.checkpoint_seconds
        counts |= {"steps": len(records), "tokens": tokens}
        counts |= {"checkpoints": len(stalls), "seconds_checkpoints": round(sum(stalls), 4)}
        cost = Cost(seconds=round(time.monotonic() - began, 3), tokens_in=tokens)
        write_file(self.job.store, RESULT_FILE, TrainResult(shards=shards, counts=counts, cost=cost))

    def _counts_of_ranks(self, trainer: Any) -> dict[str, float]:
        """What the processes know of themselves; the largest peak of memory, in MiB."""
        import torch

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
        peaks: list[Any] = [None] * self.ranks.world
        torch.distributed.all_gather_object(peaks, (peak, gpu))
        sizes = [(getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in trainer.model.parameters()]
        return {
            "ranks": self.ranks.world,
            "parameters": sum(size for size, _ in sizes),
            "parameters_trained": sum(size for size, trained in sizes if trained),
            "peak_memory_mib": round(max(memory for memory, _ in peaks)),
            "peak_gpu_memory_mib": round(max(memory for _, memory in peaks)),
        }

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - began
