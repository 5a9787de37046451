"""The job's side: its program reads the job file, and leaves a result or a failure beside it.

uri = arguments.job                       # python -m MODULE --job URI
with failures_recorded(uri, "train-sft"):
    job = read_job(uri, TrainingTask)
    write_result(uri, work(job))
"""

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel

from components.launch.hand_back.files import FAILURE_FILE, RESULT_FILE, JobFailure, SomeFile, parse
from components.shared.errors import JobError, StoreError, TutelageError
from components.shared.log import say
from components.shared.process.perform import DEBUG_VARIABLE
from components.shared.store.open_store import open_store
from components.shared.store.store import Store

STORE_SECONDS = 30.0
"""How long a program that fails waits for the store: the store may be why it fails."""


def read_job(uri: str, model: type[SomeFile]) -> SomeFile:
    """Read the job file that `--job URI` names. Raises NotFoundError and DamagedError."""
    folder, _, name = uri.rpartition("/")
    return parse(model, open_store(folder).read(name), uri)


def write_result(uri: str, result: BaseModel) -> None:
    """Write the result beside the job file. Raises StoreError."""
    _folder(uri).write(RESULT_FILE, _as_json(result))


def record_failure(uri: str, error: TutelageError) -> None:
    """Write the error beside the job file; raises nothing, and logs it when the store does not take the record.

    In a job of several processes, a temporary failure (such as a lost connection) is mostly the consequence of another
    process's failure, so it does not replace a record that is there.
    """
    thread = threading.Thread(target=_record, args=(uri, error), daemon=True)
    thread.start()
    thread.join(STORE_SECONDS)
    if thread.is_alive():
        say("job", f"the store did not answer within {STORE_SECONDS:.0f} s: this failure is not recorded there")


def report_failure(uri: str, task: str, error: TutelageError) -> None:
    """Record the error and log it; TUTELAGE_DEBUG adds the traceback."""
    record_failure(uri, error)
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error, file=sys.stderr)
    say(task, f"FAILED {error}")


def explained(error: Exception) -> TutelageError:
    """An error that a person can act on."""
    if isinstance(error, TutelageError):
        return error
    return JobError(
        f"unexpected {type(error).__name__}: {error}", remedy=f"{DEBUG_VARIABLE}=1 shows the traceback in the job's log"
    )


@contextmanager
def failures_recorded(uri: str, task: str, explain: Callable[[Exception], TutelageError] = explained) -> Iterator[None]:
    """The program's outermost frame: record and log what goes wrong, and exit with the error's code.

    Args:
        uri: of the job file.
        task: the step's name in the log.
        explain: turns any exception into an error that a person can act on.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the program's outermost frame: a person sees no traceback
        known = explain(error)
        known.__cause__ = known.__cause__ or (error if known is not error else None)
        report_failure(uri, task, known)
        raise SystemExit(known.job_exit_code) from None


def _record(uri: str, error: TutelageError) -> None:
    try:
        store = _folder(uri)
        if not (error.temporary and store.exists(FAILURE_FILE)):
            store.write(FAILURE_FILE, _as_json(JobFailure.of(error)))
    except StoreError as other:
        say("job", f"this failure is not recorded in the store: {other.problem}")


def _folder(uri: str) -> Store:
    return open_store(uri.rpartition("/")[0])


def _as_json(value: BaseModel) -> bytes:
    return (value.model_dump_json(indent=1) + "\n").encode()
