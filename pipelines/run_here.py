"""Runs a recipe on this machine and shows how it goes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from components.shared.errors import TutelageError
from components.shared.log import EVENTS_VARIABLE
from components.shared.step import DEBUG_VARIABLE
from components.shared.store import absolute
from pipelines.distill import task_names
from pipelines.recipe import Recipe
from pipelines.run_folder import RunFolder, TaskState, Tracker
from pipelines.show_progress import Display, make_display

POLL_SECONDS = 0.2
GRACE_SECONDS = 20.0


class RunInterruptedError(TutelageError):
    """A person stopped the run."""

    exit_code = 130


def run_here(recipe: Recipe, folder: RunFolder, *, debug: bool = False) -> dict[str, TaskState]:
    """Run all tasks, doing again nothing that is done; return their states.

    Raises:
        RunInterruptedError: Ctrl-C.
        TutelageError: a task failed; names it, with its message and remedy.
    """
    recipe = recipe.model_copy(update={"store": absolute(recipe.store)})
    with folder.locked():
        folder.start(recipe)
        names = task_names(recipe)
        tracker = Tracker(folder.events_file, names)
        with make_display(names) as display:
            code = _follow(_start(folder, debug), tracker, display)
    _require_success(tracker.tasks, folder, code)
    return tracker.tasks


def _start(folder: RunFolder, debug: bool) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        EVENTS_VARIABLE: str(folder.events_file),
        "PYTHONUNBUFFERED": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        **({DEBUG_VARIABLE: "1"} if debug else {}),
    }
    with folder.log_file.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.run_pipeline", str(folder.path)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _follow(process: "subprocess.Popen[bytes]", tracker: Tracker, display: Display) -> int:
    previous = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        while process.poll() is None:
            display.show(tracker.poll(), tracker.tasks)
            time.sleep(POLL_SECONDS)
        display.show(tracker.poll(), tracker.tasks)
        return process.returncode
    except KeyboardInterrupt:
        raise RunInterruptedError(
            "interrupted; what is done is kept", remedy="the same command continues where it stopped"
        ) from None
    finally:
        signal.signal(signal.SIGTERM, previous)
        _end(process)


def _as_interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _require_success(tasks: dict[str, TaskState], folder: RunFolder, code: int) -> None:
    failed = [task for task in tasks.values() if task.state == "failed"]
    if failed:
        raise TutelageError(f"{failed[0].name}: {failed[0].message}\n  log: {folder.log_file}")
    running = [task.name for task in tasks.values() if task.state == "running"]
    if running or code:
        raise TutelageError(
            f"{running[0] if running else 'the pipeline'} ended without a word (killed, or out of memory)",
            remedy=f"see {folder.log_file}; the same command continues where it stopped",
        )
