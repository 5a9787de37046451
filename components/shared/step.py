"""What every component does around its work: state, errors without a traceback, hand-over to Kubeflow.

Nothing here imports kfp: artifacts come in as objects with a `path` (and metrics with `log_metric`).
"""

import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from components.shared.errors import SettingsError, TutelageError
from components.shared.log import emit, say
from components.shared.manifest import Cost, Manifest, parse_manifest
from components.shared.retry import with_retries
from components.shared.step_failure import keep_failure
from components.shared.store import join

DEBUG_VARIABLE = "TUTELAGE_DEBUG"
RUNNER_VARIABLE = "TUTELAGE_RUNNER"
PID_FILE_VARIABLE = "TUTELAGE_PID_FILE"
"""Names a file that gets this process's number, so that whoever cancels a step on a cluster can signal it alone."""
WATCH_SECONDS = 0.5


class Artifact(Protocol):
    """A kfp artifact, as far as a step needs it."""

    path: str
    metadata: dict[str, Any]


class Metrics(Protocol):
    """A kfp Metrics artifact."""

    path: str

    def log_metric(self, metric: str, value: float) -> None: ...


class Result(Protocol):
    """What a step's work returns: a manifest, or something with several that says where the main one lies."""

    @property
    def address(self) -> str: ...

    @property
    def cost(self) -> Cost: ...


SomeResult = TypeVar("SomeResult", bound=Result)


def read_artifact(artifact: Artifact) -> Manifest:
    """The manifest that an upstream component handed over."""
    return parse_manifest(Path(artifact.path).read_bytes(), where=artifact.path)


def hand_over(
    manifest: Manifest,
    root: str,
    artifact: Artifact,
    metrics: Metrics | None = None,
    summary: tuple[Artifact, str] | None = None,
) -> str:
    """Write the manifest as the artifact, its counts as metrics and a text as the summary; return the address's URI."""
    Path(artifact.path).parent.mkdir(parents=True, exist_ok=True)
    Path(artifact.path).write_text(manifest.model_dump_json(indent=1))
    artifact.metadata["address"] = manifest.address
    artifact.metadata["digest"] = manifest.digest
    if metrics is not None:
        _log_counts(metrics, manifest.counts)
    if summary is not None:
        Path(summary[0].path).parent.mkdir(parents=True, exist_ok=True)
        Path(summary[0].path).write_text(summary[1])
    return join(root, manifest.address)


def _log_counts(metrics: Metrics, counts: Mapping[str, float]) -> None:
    """As the artifact's metadata, which Kubeflow's page shows, and as the file that the artifact's URI announces."""
    values = {name: float(value) for name, value in sorted(counts.items())}
    for name, value in values.items():
        metrics.log_metric(name, value)
    Path(metrics.path).parent.mkdir(parents=True, exist_ok=True)
    Path(metrics.path).write_text(json.dumps(values, indent=1))


def perform(task: str, work: Callable[[], SomeResult], *, root: str = "") -> SomeResult:
    """Run a step's work: report its state, and turn an error that we know into a message and exit code 1 or 2.

    Args:
        task: the step, with the variant where there are several (`train-sft`).
        work: does it.
        root: the store's root URI; on Kubeflow a failure is kept there (`step_failure.py`). Empty: the step has none.
    """
    end_with_runner()
    _note_process()
    emit({"kind": "state", "task": task, "state": "running", "process": os.getpid()})
    with reported(task, root):
        result = with_retries(task, work)
    done = {"address": result.address, "seconds": result.cost.seconds}
    emit({"kind": "state", "task": task, "state": "done", **done})
    return result


@contextlib.contextmanager
def reported(task: str, root: str = "") -> Iterator[None]:
    """Turn what goes wrong into a message and exit code 1 or 2: in a step's work, and in handing its result over.

    Args:
        task: as for `perform`.
        root: as for `perform`.
    """
    try:
        yield
    except ValidationError as error:
        raise _failed(task, root, _validation(error), 2) from None
    except TutelageError as error:
        raise _failed(task, root, error, error.exit_code) from None
    except KeyboardInterrupt:
        emit({"kind": "state", "task": task, "state": "interrupted"})
        raise SystemExit(130) from None
    except MemoryError:
        short = TutelageError("out of memory", remedy="give the step more memory or smaller batches")
        raise _failed(task, root, short, 1) from None
    except Exception as error:  # noqa: BLE001 - the step's outermost frame: a person sees no traceback
        unexpected = TutelageError(f"unexpected {type(error).__name__}: {error}", remedy="--debug shows the traceback")
        raise _failed(task, root, unexpected, 1) from None


def explain_validation(error: ValidationError) -> str:
    """What is wrong with settings: each bad value with its place and rule."""
    return str(_validation(error))


def _validation(error: ValidationError) -> SettingsError:
    lines = [
        f"{'.'.join(map(str, fault['loc']))} = {without_secrets(repr(fault.get('input')))}: {fault['msg']}"
        for fault in error.errors(include_url=False)
    ]
    return SettingsError(f"settings of {error.title} are wrong\n  " + "\n  ".join(lines), remedy="correct the recipe")


def without_secrets(text: str) -> str:
    """The text without users and passwords of URLs."""
    return re.sub(r"://[^/@\s]+@", "://…@", text)


def end_with_runner() -> None:
    """End this process when the local runner named by TUTELAGE_RUNNER is gone.

    The runner starts components through a shell, so the kernel's parent-death signal would not reach them; a
    component that outlives a killed run would go on writing at its address.
    """
    runner = os.environ.get(RUNNER_VARIABLE)
    if runner:
        threading.Thread(target=_watch, args=(Path("/proc") / runner,), daemon=True).start()


def _note_process() -> None:
    path = os.environ.get(PID_FILE_VARIABLE)
    if path:
        Path(path).write_text(str(os.getpid()))


def _watch(process: Path) -> None:
    while process.exists():
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _failed(task: str, root: str, error: TutelageError, exit_code: int) -> SystemExit:
    """Report a failure to all who may ask. The message ends the log, which is what Kubeflow's page shows."""
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc(file=sys.stderr)
    emit({"kind": "state", "task": task, "state": "failed", "message": str(error)})
    keep_failure(root, task, error, exit_code)
    say(task, f"FAILED {error}")
    return SystemExit(exit_code)
