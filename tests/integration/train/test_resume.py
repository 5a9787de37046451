"""A training that is killed with -9 continues from its newest whole checkpoint, and its losses are the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from components.shared.folder_store import FolderStore
from components.shared.manifest import Manifest
from components.train.checkpoint import whole_steps
from components.train.settings import TrainSettings

WAIT_SECONDS = 500.0
REPOSITORY = Path(__file__).parents[3]
STEP = """
import json, sys
from components.shared.manifest import Manifest
from components.train.settings import TrainSettings
from components.train.train import train_model
root, settings, dataset, start = json.loads(sys.argv[1])
train_model(root, "train-it", TrainSettings.model_validate(settings), Manifest.model_validate(dataset), start)
"""


def start_step(root: str, settings: TrainSettings, dataset: Manifest, student: Path) -> "subprocess.Popen[str]":
    """The step in a process group of its own, as a person starts it."""
    given = [root, settings.model_dump(mode="json"), dataset.model_dump(mode="json"), str(student)]
    arguments = [sys.executable, "-c", STEP, json.dumps(given)]
    return subprocess.Popen(arguments, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, start_new_session=True)


def kill_after_two_checkpoints(root: str, running: "subprocess.Popen[str]") -> FolderStore:
    """Kill the step's whole group once two checkpoints are whole; returns the store at the output's address."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and running.poll() is None:
        for folder in Path(root, "train").glob("*"):
            if len(whole_steps(FolderStore(folder))) > 1:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
                return FolderStore(folder)
        time.sleep(0.01)
    raise AssertionError(f"no checkpoint came: {running.communicate()[1]}")


def wait_for_ranks(address: str) -> None:
    """Wait until no process has the address in its command line."""
    deadline = time.monotonic() + 60.0
    while any(address.encode() in _command(path) for path in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < deadline, "ranks outlived their step"
        time.sleep(0.05)


def _command(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "values",
    [{"method": "sft", "deepspeed": {"stage": 2}}, {"method": "kto", "deepspeed": {"stage": 3}}],
    ids=["sft-zero2", "kto-zero3"],
)
def test_a_killed_training_continues_with_equal_losses(
    bench: Any, tmp_path: Path, values: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = {**values, "epochs": 10, "checkpoint_steps": 20}
    killed = str(tmp_path / "killed")
    shutil.copytree(bench.root, killed)
    whole = bench.train(**chosen)
    running = start_step(killed, bench.settings(**chosen), bench.selected, bench.student)
    store = kill_after_two_checkpoints(killed, running)
    wait_for_ranks(store.uri)
    newest = whole_steps(store)[0]
    assert newest < 120, "it was killed too late to show anything"
    capfd.readouterr()
    resumed = bench.train(**chosen, root=killed)
    assert f"continuing from the checkpoint of step {newest}" in capfd.readouterr().err
    assert [record["step"] for record in bench.losses(resumed, killed)] == list(range(1, 121))
    assert bench.losses(resumed, killed) == bench.losses(whole)
    assert resumed.shard("model/model.safetensors").sha256 == whole.shard("model/model.safetensors").sha256
    assert whole_steps(store) == []
