"""What every component does around its work: report its state and errors, and hand over results to Kubeflow.

Nothing here imports kfp: artifacts are objects with a `path`, metrics those with `log_metric`.
"""

import contextlib
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from components.shared.errors import SettingsError, TutelageError
from components.shared.log import emit, say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest, parse_manifest
from components.shared.process.retry import with_retries
from components.shared.process.step_failure import keep_failure

DEBUG_VARIABLE = "TUTELAGE_DEBUG"
PID_FILE_VARIABLE = "TUTELAGE_PID_FILE"
"""Names a file for the process id, so that a cancel on a cluster can signal this process alone."""


class Artifact(Protocol):
    """The part of a kfp artifact that steps use."""

    path: str
    metadata: dict[str, Any]


class Metrics(Protocol):
    """A kfp Metrics artifact."""

    path: str

    def log_metric(self, metric: str, value: float) -> None: ...


class Result(Protocol):
    """What a step's work returns: a manifest, or several with the address and cost of the main one."""

    @property
    def address(self) -> str: ...

    @property
    def cost(self) -> Cost: ...


SomeResult = TypeVar("SomeResult", bound=Result)


def read_artifact(artifact: Artifact) -> Manifest:
    """The manifest from an upstream component."""
    return parse_manifest(Path(artifact.path).read_bytes(), where=artifact.path)


def hand_over(
    manifest: Manifest,
    library: Library,
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
    return library.uri(manifest.address)


def _log_counts(metrics: Metrics, counts: Mapping[str, float]) -> None:
    """As the artifact's metadata, which Kubeflow's page shows, and as the file that the artifact's URI announces."""
    values = {name: float(value) for name, value in sorted(counts.items())}
    for name, value in values.items():
        metrics.log_metric(name, value)
    Path(metrics.path).parent.mkdir(parents=True, exist_ok=True)
    Path(metrics.path).write_text(json.dumps(values, indent=1))


def perform(task: str, work: Callable[[], SomeResult], *, root: str = "") -> SomeResult:
    """Run a step's work and report its state; an error becomes a message and exit code 1 or 2.

    Args:
        task: the step, with the variant where there are several (`train-sft`).
        work: the work.
        root: the store's root URI, where a failure on Kubeflow is recorded (`step_failure.py`). Empty: no store.
    """
    _note_process()
    emit({"kind": "state", "task": task, "state": "running", "process": os.getpid()})
    with reported(task, root):
        result = with_retries(task, work)
    done = {"address": result.address, "seconds": result.cost.seconds}
    emit({"kind": "state", "task": task, "state": "done", **done})
    return result


@contextlib.contextmanager
def reported(task: str, root: str = "") -> Iterator[None]:
    """Turn exceptions into a message and exit code 1 or 2, in a step's work and in handing over its result.

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
    except Exception as error:  # noqa: BLE001 - the step's outermost frame: no traceback for users
        unexpected = TutelageError(f"unexpected {type(error).__name__}: {error}", remedy="--debug shows the traceback")
        raise _failed(task, root, unexpected, 1) from None


def explain_validation(error: ValidationError) -> str:
    """The faults of settings: each invalid value with its location and the rule."""
    return str(_validation(error))


def _validation(error: ValidationError) -> SettingsError:
    lines = [
        f"{'.'.join(map(str, fault['loc']))} = {without_secrets(repr(fault.get('input')))}: {fault['msg']}"
        for fault in error.errors(include_url=False)
    ]
    return SettingsError(f"invalid {error.title}\n  " + "\n  ".join(lines), remedy="correct the recipe")


def without_secrets(text: str) -> str:
    """The text with user names and passwords removed from URLs."""
    return re.sub(r"://[^/@\s]+@", "://…@", text)


def _note_process() -> None:
    path = os.environ.get(PID_FILE_VARIABLE)
    if path:
        Path(path).write_text(str(os.getpid()))


def _failed(task: str, root: str, error: TutelageError, exit_code: int) -> SystemExit:
    """Report a failure: as an event, in the store, and as the last lines of the log, which Kubeflow's page shows."""
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc(file=sys.stderr)
    emit({"kind": "state", "task": task, "state": "failed", "message": str(error)})
    keep_failure(root, task, error, exit_code)
    say(task, f"FAILED {error}")
    return SystemExit(exit_code)
