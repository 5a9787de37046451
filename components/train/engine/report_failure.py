"""How a process of a training reports that it failed: recorded for the step, and logged once on each machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.launch.hand_back.report import explained as explained_in_any_job
from components.launch.hand_back.report import record_failure, report_failure
from components.shared.errors import JobError, ModelError, SettingsError, TutelageError
from components.train.settings import FORWARD_RULE, TrainSettings

LOST_CONNECTION = ("Connection closed by peer", "Connection reset", "NCCL", "ncclRemoteError", "Broken pipe")
MISMATCH = "DeepSpeed config values"
"""In transformers' message for a DeepSpeed configuration that contradicts its arguments."""

NO_TARGET = "arget module"
"""In peft's messages for targets that are not in the model, or not of a layer type that it supports."""


@contextmanager
def reported(uri: str, task: str, marker: Path, settings: TrainSettings | None = None) -> Iterator[None]:
    """The process's outermost frame: record and log what goes wrong, and exit with the error's code.

    Args:
        uri: of the job file.
        task: the step's name in the log.
        marker: a file of this machine; the first process that fails makes it, and its neighbours do not log again.
        settings: of the training, once they are read.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the program's outermost frame: a person sees no traceback
        known = explained(error, settings)
        known.__cause__ = known.__cause__ or (error if known is not error else None)
        if _is_first(marker):
            report_failure(uri, task, known)
        else:
            record_failure(uri, known)
        raise SystemExit(known.job_exit_code) from None


def explained(error: Exception, settings: TrainSettings | None = None) -> TutelageError:
    """The error as one with a rule and a remedy; `settings` are those of the training, once they are read."""
    text, rule = str(error), settings.forward_rule if settings is not None else FORWARD_RULE
    if isinstance(error, TutelageError):
        return error
    if isinstance(error, ValueError) and MISMATCH in text:
        wrong = "; ".join(line.removeprefix("- ") for line in text.splitlines() if line.startswith("- "))
        return SettingsError(
            f"deepspeed_config and the settings differ: {wrong}",
            rule="values in ds_config.json must agree with the train settings",
            remedy="set it to 'auto' there, or change the settings to the same value",
        )
    if isinstance(error, ValueError) and NO_TARGET in text:
        return SettingsError(
            f"lora.target_modules: {text.splitlines()[0]}",
            rule="a target is the last part of the name of one of the model's linear layers",
            remedy="name layers of this model, or all-linear alone",
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return ModelError(
            f"out of memory: {text.splitlines()[0] if text else 'the allocation failed'}",
            remedy=f"lower the rows of a forward pass ({rule}), its positions (micro_batch_tokens) or max_length, or "
            "set gradient_checkpointing: true or deepspeed.stage: 3",
        )
    if any(sign in text for sign in LOST_CONNECTION):
        return JobError(
            "lost the connection to another process of the training",
            remedy="see that process's own message; a process that was killed without one usually ran out of memory",
            temporary=True,
        )
    return explained_in_any_job(error)


def _is_first(marker: Path) -> bool:
    marker.parent.mkdir(parents=True, exist_ok=True)
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
