"""How a failure in any process of a training is told: once on each machine, without a traceback."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.shared.errors import JobError, ModelError, SettingsError, TutelageError
from components.shared.log import say
from components.shared.step import DEBUG_VARIABLE

LOST_CONNECTION = ("Connection closed by peer", "Connection reset", "NCCL", "ncclRemoteError", "Broken pipe")
MISMATCH = "DeepSpeed config values"


@contextmanager
def reported(task: str, marker: Path) -> Iterator[None]:
    """End the process with a message when the block fails; `marker` keeps its neighbours from telling it again."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the program's outermost frame: a person sees no traceback
        known = explained(error)
        if _is_first(marker):
            if os.environ.get(DEBUG_VARIABLE):
                traceback.print_exc()
            say(task, f"FAILED {known}")
        raise SystemExit(known.job_exit_code) from None


def explained(error: Exception) -> TutelageError:
    """The error as one that says what to do."""
    text = str(error)
    if isinstance(error, TutelageError):
        return error
    if isinstance(error, ValueError) and MISMATCH in text:
        wrong = "; ".join(line.removeprefix("- ") for line in text.splitlines() if line.startswith("- "))
        return SettingsError(
            f"deepspeed_config and the settings differ: {wrong}",
            rule="what ds_config.json fixes must agree with the train settings",
            remedy="put 'auto' there, or the same value into the settings",
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return ModelError(
            f"out of memory: {text.splitlines()[0] if text else 'no more could be had'}",
            remedy="lower micro_batch (kto: kto.kl_batch) or cutoff, set gradient_checkpointing, or use ZeRO stage 3",
        )
    if any(sign in text for sign in LOST_CONNECTION):
        return JobError(
            "lost the connection to another process of the training",
            remedy="see that process's own message; one that is killed without a message mostly ran out of memory",
            temporary=True,
        )
    return JobError(f"unexpected {type(error).__name__}: {text}", remedy=f"{DEBUG_VARIABLE}=1 shows the traceback")


def _is_first(marker: Path) -> bool:
    marker.parent.mkdir(parents=True, exist_ok=True)
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
