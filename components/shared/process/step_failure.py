"""Records why a step of a run on Kubeflow failed: in the store, `runs/RUN/failures/TASK.json`, and in its pod.

Kubeflow Pipelines reports nothing from a failed task: 2.17 leaves `error` empty in the run and in its tasks, and pods
are deleted eventually. The step therefore records its failure before it exits, where `tutelage status` reads it.
"""

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.shared.errors import DamagedError, TutelageError
from components.shared.log import say
from components.shared.outputs.run_pointer import RUN_VARIABLE
from components.shared.store.open_store import open_store

TERMINATION_LOG = Path("/dev/termination-log")
"""The file of the container's termination message, which `kubectl describe pod` shows."""
TERMINATION_BYTES = 4096
"""The kubelet's limit for a termination message, in bytes."""
REMEDY_BYTES = 1024
KEEPING_SECONDS = 30.0
"""How long a failing step waits for the store, in seconds: the store may be the reason for the failure."""
POD_VARIABLE = "KFP_POD_NAME"
RETRY_VARIABLE = "KFP_RETRY_INDEX"
"""The number of earlier pods of the task; set by KFP."""


class StepFailure(BaseModel):
    """How the latest failed attempt of a task ended."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: str = Field(description="id of the pipeline run")
    task: str = Field(description="the step, with the variant where there are several")
    problem: str = Field(description="what is wrong, with the bad value")
    rule: str = ""
    remedy: str = ""
    allowed: tuple[str, ...] = ()
    exit_code: int = Field(1, description="of the step's process")
    time: float = Field(description="seconds since 1970")
    attempt: int = Field(1, description="attempt of the task, from 1")
    pod: str = Field("", description="the attempt's pod")

    @property
    def message(self) -> str:
        """Problem, rule, allowed values and remedy, as the step's log has them."""
        return str(TutelageError(self.problem, rule=self.rule, remedy=self.remedy, allowed=self.allowed))


def keep_failure(root: str, task: str, error: TutelageError, exit_code: int) -> None:
    """Record a failure; nothing is written outside a run on Kubeflow.

    If the store refuses or does not respond within 30 s, that is logged only: the step's own failure matters more.

    Args:
        root: the store's root URI; empty for a step without a store, whose message is in its pod alone.
        task: the step, with the variant where there are several.
        error: what ended the step.
        exit_code: the code that the step's process will exit with.
    """
    run = os.environ.get(RUN_VARIABLE)
    if not run:
        return
    failure = StepFailure(
        run=run,
        task=task,
        problem=f"{error.step}: {error.problem}" if error.step else error.problem,
        rule=error.rule,
        remedy=error.remedy,
        allowed=error.allowed,
        exit_code=exit_code,
        time=time.time(),
        attempt=_attempt(),
        pod=os.environ.get(POD_VARIABLE, ""),
    )
    _write_termination_message(f"{task}: {failure.message}", task)
    if root:
        _store(root, failure)


def read_failures(root: str, run: str, tasks: Sequence[str]) -> dict[str, StepFailure]:
    """The recorded failures of a run, by task; tasks without a record are absent.

    Raises:
        StoreError: the store cannot be reached from here.
        DamagedError: a record is not valid.
    """
    store = open_store(root)
    keys = {entry.key for entry in store.list(f"runs/{run}/failures/")}
    wanted = [task for task in tasks if _key(run, task) in keys]
    return {task: _parsed(store.read(_key(run, task)), _key(run, task)) for task in wanted}


def _parsed(content: bytes, key: str) -> StepFailure:
    try:
        return StepFailure.model_validate_json(content)
    except ValidationError as error:
        raise DamagedError(f"{key} is not a valid record of a failure: {error.errors()[0]['msg']}") from error


def _store(root: str, failure: StepFailure) -> None:
    """In a thread: the client of a store may retry for minutes."""
    thread = threading.Thread(target=_write, args=(root, failure), daemon=True)
    thread.start()
    thread.join(KEEPING_SECONDS)
    if thread.is_alive():
        say(failure.task, f"the store does not respond: this failure is not recorded in {root}")


def _write(root: str, failure: StepFailure) -> None:
    try:
        open_store(root).write(_key(failure.run, failure.task), failure.model_dump_json(indent=1).encode())
    except TutelageError as error:
        say(failure.task, f"this failure is not recorded in {root}: {error.problem}")


def _write_termination_message(text: str, task: str) -> None:
    if not TERMINATION_LOG.exists():
        return
    try:
        TERMINATION_LOG.write_bytes(_shortened(text.encode()))
    except OSError as error:
        say(task, f"{TERMINATION_LOG}: {error.strerror}")


def _shortened(text: bytes) -> bytes:
    """The text within the kubelet's limit, with the remedy at its end."""
    if len(text) <= TERMINATION_BYTES:
        return text
    gap = "\n…\n".encode()
    begin = text[: TERMINATION_BYTES - REMEDY_BYTES - len(gap)].decode(errors="ignore").encode()
    return begin + gap + text[-REMEDY_BYTES:].decode(errors="ignore").encode()


def _attempt() -> int:
    index = os.environ.get(RETRY_VARIABLE, "")
    return int(index) + 1 if index.isdigit() else 1


def _key(run: str, task: str) -> str:
    return f"runs/{run}/failures/{task}.json"
