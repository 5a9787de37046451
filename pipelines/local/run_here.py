"""Runs a recipe on this machine and shows its progress."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from components.launch.here.follow_parent import parent_variable
from components.shared.errors import TutelageError
from components.shared.log import EVENTS_VARIABLE
from components.shared.process.perform import DEBUG_VARIABLE
from components.shared.process.run_component import WAITING
from components.shared.process.signals import sigterm_raises
from components.shared.store.uri import absolute
from pipelines.local.run_folder import RunFolder, TaskState, Tracker
from pipelines.local.show_progress import Display, make_display
from pipelines.pipeline import Recipe
from pipelines.registry import task_names

POLL_SECONDS = 0.2
GRACE_SECONDS = 20.0


class RunInterruptedError(TutelageError):
    """The run was stopped by Ctrl-C or SIGTERM."""

    exit_code = 130


def run_here(recipe: Recipe, folder: RunFolder, *, debug: bool = False) -> dict[str, TaskState]:
    """Run all tasks, reusing completed ones; return their states.

    Raises:
        RunInterruptedError: Ctrl-C or SIGTERM.
        TutelageError: a task failed; includes its name, message and remedy.
    """
    return run_program("pipelines.local.run_pipeline", recipe, folder, task_names(recipe), debug=debug)


def run_program(
    program: str,
    recipe: Recipe,
    folder: RunFolder,
    names: list[str],
    arguments: Sequence[str] = (),
    *,
    debug: bool = False,
) -> dict[str, TaskState]:
    """Run a program that does the tasks of a recipe, and show their progress; return their states.

    Args:
        program: a module; its arguments are the folder, and `arguments`.
        recipe: written into the folder, for the program.
        folder: where the program's log and events go.
        names: of the tasks.
        arguments: of the program, after the folder.
        debug: whether tracebacks go into the log.

    Raises:
        RunInterruptedError: Ctrl-C or SIGTERM.
        TutelageError: a task failed; includes its name, message and remedy.
    """
    recipe = recipe.model_copy(update={"store": absolute(recipe.store)})
    with folder.locked():
        folder.start(recipe)
        tracker = Tracker(folder.events_file, names)
        with make_display(names) as display:
            code = _follow(_start([program, str(folder.path), *arguments], folder, debug), tracker, display)
    _require_success(tracker.tasks, folder, code)
    return tracker.tasks


def _start(program: Sequence[str], folder: RunFolder, debug: bool) -> "subprocess.Popen[bytes]":
    environment = {
        **WAITING,
        **os.environ,
        **parent_variable(),
        EVENTS_VARIABLE: str(folder.events_file),
        "PYTHONUNBUFFERED": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        **({DEBUG_VARIABLE: "1"} if debug else {}),
    }
    with folder.log_file.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *program],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _follow(process: "subprocess.Popen[bytes]", tracker: Tracker, display: Display) -> int:
    try:
        with sigterm_raises():
            while process.poll() is None:
                display.show(tracker.poll(), tracker.tasks)
                time.sleep(POLL_SECONDS)
        display.show(tracker.poll(), tracker.tasks)
        return process.returncode
    except KeyboardInterrupt:
        raise RunInterruptedError(
            "interrupted; completed steps are kept", remedy="run the same command again to continue"
        ) from None
    finally:
        _end(process)


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
        first, *others = (f"{task.name}: {task.message}" for task in failed)
        also = "".join(f"\n  also failed: {text.partition(chr(10))[0]}" for text in others)
        raise TutelageError(f"{first}{also}\n  log: {folder.log_file}")
    running = [task.name for task in tasks.values() if task.state == "running"]
    if running or code:
        raise TutelageError(
            f"{running[0] if running else 'the program'} ended without a message: it was killed, or ran out of memory",
            remedy=f"see {folder.log_file}, and run the same command again to continue",
        )
