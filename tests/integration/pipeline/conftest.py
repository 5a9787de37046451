"""A smaller demo: few rows, one epoch, DPO only after SFT, one merge; the same components, the same command line."""

import copy
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deadlines import line_with, rest_of

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "pipelines" / "recipes" / "demo.yaml"
SECONDS = 900

Change = Callable[[dict[str, Any]], None]


def small_demo(folder: Path, store: str, change: Change = lambda recipe: None) -> Path:
    """Write a small recipe made from the demo's and return its path."""
    recipe = copy.deepcopy(yaml.safe_load(DEMO.read_text()))
    recipe["store"] = store
    for source in recipe["collect"]["sources"]:
        source["limit"] = 60
    recipe["collect"]["max_rejected_share"] = 0.5
    recipe["collect"]["benchmarks"][0]["limit"] = 40
    recipe["curate"]["rare_below"] = 1
    del recipe["train"]["dpo"]
    for variant in recipe["train"].values():
        variant["settings"].update(epochs=1, checkpoint_steps=0, learning_rate=0.001)
    recipe["merge"] = {"half": recipe["merge"]["half"]}
    change(recipe)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    return path


class CommandLine:
    """`tutelage` in its own folder, with its own environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pipelines.cli.main", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments)
        out, err = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def kill_when(self, said: str, *arguments: str) -> None:
        """Start a command and kill it with SIGKILL once it has printed something."""
        process = self.start(*arguments)
        try:
            line_with(process.stderr, said, SECONDS)
        finally:
            process.send_signal(signal.SIGKILL)
            rest_of(process)

    @property
    def log(self) -> str:
        """Everything that the steps of the last run printed."""
        return (self.folder / ".tutelage" / "runs" / "demo" / "log.txt").read_text()


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)
