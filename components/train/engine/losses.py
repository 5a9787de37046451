"""The record of every optimizer step: the losses.jsonl of a trained model."""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from components.shared.log import Progress, say
from components.train.engine.divergence import require_finite_loss

LOSSES_FILE = "losses.jsonl"
SHARES_FILE = "shares.jsonl"
STAGES_FILE = "stages.jsonl"
DRIFT_FILE = "stage_drift.jsonl"
LEFT_OUT = "nodes_left_out"
"""Of a step on fewer nodes than the settings have: how many fewer. Other steps lack it."""
STEP_FIELDS = ("step", "loss", "learning_rate", "rows", "tokens", "seconds", "tokens_per_second")
COMMON_METRICS = {"grad_norm": "gradient_norm"}
"""Metrics that every trainer logs, and their names in losses.jsonl; a method names its own."""


class StepBook:
    """Holds the order of the rows, and records every step.

    Args:
        task: the step's name in the log.
        order: rows of the data set in the order in which the loader returns them.
        tokens: tokens in the rows of each optimizer step, prompt and response, padding aside.
        global_batch: rows of one optimizer step.
        steps: optimizer steps after which the training ends; None: those of the entire order.
        allowed: tokens of compute after which it ends if that is earlier; None: no limit.
        measures_compute: whether a step's tokens are known only when it is reached, so that `steps` is a limit above
            those that are allowed.
        left_out: nodes that the training continues without, since they were lost.

    Attributes:
        generated: tokens that were generated for each optimizer step; those for several steps at the first one.
    """

    def __init__(
        self,
        task: str,
        order: np.ndarray,
        tokens: np.ndarray,
        global_batch: int,
        steps: int | None = None,
        *,
        allowed: int | None = None,
        measures_compute: bool = False,
        left_out: int = 0,
    ) -> None:
        self.task, self.order, self.global_batch = task, order, global_batch
        self.tokens, self.steps = tokens, len(order) // global_batch if steps is None else steps
        self.generated, self.allowed = np.zeros(len(tokens), np.int64), allowed
        self.measures_compute, self.left_out = measures_compute, left_out
        self.progress: Progress | None = None
        self.checkpoint_seconds: list[float] = []
        self._stepped = time.monotonic()

    def begin(self, already: int, show: bool) -> None:
        """Start the clock; `already` steps were done before."""
        self._stepped = time.monotonic()
        total = None if self.measures_compute else self.steps
        self.progress = Progress(self.task, "training", total, "steps", already) if show else None

    def spent(self, step: int) -> int:
        """Tokens of compute in the steps up to this one, from 1; of steps to come, what is planned."""
        return int(self.tokens[:step].sum() + self.generated[:step].sum())

    def share_spent(self, step: int) -> float:
        """The same as a share of what is allowed, at most 1. Only for a training with a limit."""
        assert self.allowed is not None
        return min(1.0, self.spent(step) / self.allowed)

    def is_last(self, step: int) -> bool:
        """Whether the training ends after this step."""
        return step >= self.steps or (self.allowed is not None and self.spent(step) >= self.allowed)

    def restart_clock(self) -> None:
        """Leave the time since the last step out of the next one's."""
        self._stepped = time.monotonic()

    def end(self) -> None:
        """Stop the clock."""
        if self.progress is not None:
            self.progress.finish()

    def record(self, step: int, logs: dict[str, Any]) -> dict[str, Any]:
        """The fields of a step that the trainer does not log. Raises DivergedError when the loss is not finite."""
        require_finite_loss(step, logs["loss"], logs.get("learning_rate"))
        now = time.monotonic()
        seconds, self._stepped = now - self._stepped, now
        if self.progress is not None:
            self.progress.advance()
        tokens = int(self.tokens[step - 1])
        return {
            "rows": self.global_batch,
            "tokens": tokens,
            "seconds": round(seconds, 4),
            "tokens_per_second": round(tokens / seconds, 1) if seconds else 0.0,
            **({LEFT_OUT: self.left_out} if self.left_out else {}),
        }

    def record_checkpoint(self, step: int, seconds: float) -> None:
        """Record for how long a checkpoint blocked training."""
        self.checkpoint_seconds.append(seconds)
        if self.progress is not None:
            say(self.task, f"checkpoint at step {step}")

    def record_wait(self, seconds: float) -> None:
        """Add the time that an optimizer step waited for the newest checkpoint's copy."""
        if seconds:
            self.checkpoint_seconds[-1] += seconds


def loss_records(log_history: list[dict[str, Any]], metrics: Mapping[str, str]) -> list[dict[str, Any]]:
    """The trainer's log as records: `STEP_FIELDS`, nodes left out, and the metrics of all trainers and the method.

    Args:
        log_history: what the trainer logged, one entry for each step and some others.
        metrics: the method's, by the names that its trainer logs.
    """
    steps = [entry for entry in log_history if "loss" in entry and "step" in entry]
    return [_record(entry, {**COMMON_METRICS, **metrics}) for entry in steps]


def shares_records(log_history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the trainer's log has of shares by speed, one record for each change (`balance/record.py`)."""
    return [entry["shares"] for entry in log_history if "shares" in entry]


def stages_records(log_history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the trainer's log has of stages by measured cost, one record for each (`balance/measured_costs.py`)."""
    return [entry["stages"] for entry in log_history if "stages" in entry]


def drift_records(log_history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the trainer's log has of stages that no longer fit, one record for each job (`balance/stage_drift.py`)."""
    return [entry["stage_drift"] for entry in log_history if "stage_drift" in entry]


def _record(entry: dict[str, Any], metrics: Mapping[str, str]) -> dict[str, Any]:
    record = {name: entry[name] for name in (*STEP_FIELDS, *([LEFT_OUT] if LEFT_OUT in entry else []))}
    return record | {ours: entry[theirs] for theirs, ours in metrics.items() if theirs in entry}


def as_lines(records: Iterable[dict[str, Any]]) -> bytes:
    """Records as JSON lines."""
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


def loss_counts(records: list[dict[str, Any]], metrics: Mapping[str, str]) -> dict[str, float]:
    """The first step's loss, and the means of the loss and of the method's metrics over the last tenth of the steps.

    Empty without a step: the first one may diverge.
    """
    if not records:
        return {}
    last = records[-max(1, len(records) // 10) :]
    counts = {"loss_first": records[0]["loss"], "loss_last": sum(r["loss"] for r in last) / len(last)}
    for name in metrics.values():
        values = [record[name] for record in last if name in record]
        counts |= {name: sum(values) / len(values)} if values else {}
    return counts
