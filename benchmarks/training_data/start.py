"""A real training, from the train step's call to its first optimizer step."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import family_of, memory_of, processor_seconds_of
from components.shared.outputs.manifest import Manifest

PAUSE_SECONDS = 0.5
STEP = """
import json, sys
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.train.methods.registry import parse_train_settings
from components.train.train import train_model
root, settings, dataset = json.loads(sys.argv[1])
dataset = Manifest.model_validate(dataset)
train_model(Library(root), "train", parse_train_settings(settings), dataset, "package:demo/student")
"""


@dataclass(frozen=True)
class Start:
    """A training until its first optimizer step: what all of its processes together took, and held at most, in MiB."""

    seconds: float
    processor_seconds: float
    private_mib: int
    mapped_mib: int


def time_start(root: str, dataset: Manifest, method: str, ranks: int, cache: str) -> Start:
    """Train until the first step is in the store, and end the training.

    Args:
        root: the store's root.
        dataset: the select step's output.
        method: the training method.
        ranks: processes of this machine that train together.
        cache: the folder of this machine's token files.
    """
    for path in Path(root).glob("train/*/losses.jsonl"):
        path.unlink()
    settings = {
        "method": method,
        "precision": "fp32",
        "epochs": 1,
        "global_batch": 32,
        "checkpoint_steps": 0,
        "gradient_checkpointing": False,
        "launch": {"processes_per_node": ranks},
    }
    arguments = [sys.executable, "-c", STEP, json.dumps([root, settings, dataset.model_dump(mode="json")])]
    environment = {**os.environ, "TUTELAGE_CACHE": cache, "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    with subprocess.Popen(arguments, env=environment, start_new_session=True) as running:
        try:
            private, mapped = _follow(running, root)
            return Start(
                round(time.monotonic() - began, 1),
                round(processor_seconds_of(running.pid), 1),
                private // 1024,
                mapped // 1024,
            )
        finally:
            for process in family_of(running.pid):
                os.kill(process, signal.SIGKILL)


def _follow(running: "subprocess.Popen[bytes]", root: str) -> tuple[int, int]:
    """The most private and mapped memory until the first step, in KiB."""
    private = mapped = 0
    while not any(Path(root).glob("train/*/losses.jsonl")):
        if running.poll() is not None:
            raise SystemExit("the training ended before its first step")
        now = memory_of(running.pid)
        private, mapped = max(private, now[0]), max(mapped, now[1])
        time.sleep(PAUSE_SECONDS)
    return private, mapped
