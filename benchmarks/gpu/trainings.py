"""One training by Tutelage's own train step, and one of the same rows by TRL's KTO trainer with its defaults."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.scale import Scale
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.store.open_store import open_store
from components.train.methods.registry import parse_train_settings
from components.train.train import train_model

TIMED = ("seconds_train", "peak_gpu_memory_mib", "tokens")


def train_here(root: str, rows: Manifest, start: Path, scale: Scale, **chosen: Any) -> dict[str, float]:
    """A training by the train step, in a process of its own; its counts and the median seconds of a step."""
    settings = parse_train_settings(
        {
            "precision": scale.precision,
            "epochs": 1,
            "global_batch": scale.batch,
            "micro_batch": scale.micro_batch,
            "max_length": scale.longest,
            "checkpoint_steps": 0,
        }
        | chosen
    )
    manifest = train_model(Library(root), f"train-{settings.method}", settings, rows, str(start))
    lines = open_store(root).at(manifest.address).read("losses.jsonl").splitlines()
    seconds = [json.loads(line)["seconds"] for line in lines]
    return {name: manifest.counts[name] for name in TIMED} | {
        "step_seconds": statistics.median(seconds[scale.warm_up :]),
        "timed_seconds": sum(seconds[scale.warm_up :]),
    }


def train_with_trl(rows: Manifest, root: str, start: Path, scale: Scale, folder: Path) -> dict[str, float]:
    """The same rows by TRL's KTO trainer with its defaults (gradient checkpointing, a reference model in memory)."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import KTOConfig, KTOTrainer

    on_cpu = not torch.cuda.is_available()
    arguments = KTOConfig(
        output_dir=str(folder),
        use_cpu=on_cpu,
        bf16=scale.precision == "bf16",
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        max_length=scale.longest,
        per_device_train_batch_size=scale.micro_batch,
        gradient_accumulation_steps=scale.batch // scale.micro_batch,
        num_train_epochs=1,
    )
    tokenizer = AutoTokenizer.from_pretrained(start)
    clock = _step_clock()
    trainer = KTOTrainer(
        model=str(start),
        args=arguments,
        train_dataset=Dataset.from_list(_as_trl_reads(rows, root)),
        processing_class=tokenizer,
        callbacks=[clock],
    )
    began = time.monotonic()
    trainer.train()
    timed = clock.seconds[scale.warm_up :]
    return {
        "seconds_train": time.monotonic() - began,
        "peak_gpu_memory_mib": 0.0 if on_cpu else torch.cuda.max_memory_allocated() / 2**20,
        "step_seconds": statistics.median(timed),
        "timed_seconds": sum(timed),
    }


def _as_trl_reads(rows: Manifest, root: str) -> list[dict[str, Any]]:
    from components.shared.rows import KtoRow

    read = Library(root).read_rows(rows, KtoRow, part="kto")
    return [
        {
            "prompt": [message.model_dump() for message in row.prompt],
            "completion": [{"role": "assistant", "content": row.completion}],
            "label": row.label,
        }
        for row in read
    ]


def _step_clock() -> Any:
    """A trainer's callback that takes the time of each optimizer step."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.began = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            wait_for_device()
            self.seconds.append(time.monotonic() - self.began)

    return Clock()


def wait_for_device() -> None:
    """Wait until the GPU, where there is one, has computed everything."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
