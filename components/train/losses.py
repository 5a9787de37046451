"""What is recorded of every optimizer step: the losses.json of a trained model."""

import math
import time
from typing import Any

import numpy as np

from components.shared.errors import ModelError
from components.shared.log import Progress, say

LOSSES_FILE = "losses.json"
EXTRAS = {
    "grad_norm": "gradient_norm",
    "mean_token_accuracy": "token_accuracy",
    "rewards/chosen": "desirable_reward",
    "rewards/rejected": "undesirable_reward",
    "kl": "kl",
}


class StepBook:
    """Keeps the order of the rows and what came of every step.

    Args:
        task: the step's name in the log.
        order: rows of the data set in the order in which the loader hands them out.
        tokens: tokens in the rows of each optimizer step, prompt and response, padding aside.
        global_batch: rows of one optimizer step.
    """

    def __init__(self, task: str, order: np.ndarray, tokens: np.ndarray, global_batch: int) -> None:
        self.task, self.order, self.global_batch = task, order, global_batch
        self.tokens = tokens
        self.progress: Progress | None = None
        self.checkpoint_seconds: list[float] = []
        self._stepped = time.monotonic()

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return len(self.order) // self.global_batch

    def begin(self, already: int, show: bool) -> None:
        """Start the clock; `already` steps were done before."""
        self._stepped = time.monotonic()
        self.progress = Progress(self.task, "training", self.steps, "steps", already) if show else None

    def end(self) -> None:
        """Stop the clock."""
        if self.progress is not None:
            self.progress.finish()

    def record(self, step: int, logs: dict[str, Any]) -> dict[str, Any]:
        """The facts of a step that its logs lack. Raises ModelError when the loss is no number."""
        if not math.isfinite(logs["loss"]):
            raise not_finite(step, logs["loss"], logs.get("learning_rate"))
        now = time.monotonic()
        seconds, self._stepped = now - self._stepped, now
        if self.progress is not None:
            self.progress.advance()
        return {"rows": self.global_batch, "tokens": int(self.tokens[step - 1]), "seconds": round(seconds, 4)}

    def record_checkpoint(self, step: int, seconds: float) -> None:
        """Note for how long training stood still for a checkpoint."""
        self.checkpoint_seconds.append(seconds)
        if self.progress is not None:
            say(self.task, f"checkpoint at step {step}")

    def record_wait(self, seconds: float) -> None:
        """Add what an optimizer's step waited for the newest checkpoint's copy."""
        if seconds:
            self.checkpoint_seconds[-1] += seconds


def not_finite(step: int, loss: float, learning_rate: float | None) -> ModelError:
    """The error of a loss that became NaN or infinite."""
    return ModelError(
        f"the loss of step {step} is {loss}",
        rule="a loss is a finite number",
        remedy=f"lower learning_rate (it was {learning_rate} at that step) or max_grad_norm, or look at the rows: "
        "a model with broken weights does this at step 1",
    )


def loss_records(log_history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trainer's log as records: step, loss, learning_rate, rows, tokens, seconds, and what the method adds."""
    return [_record(entry) for entry in log_history if "loss" in entry and "step" in entry]


def _record(entry: dict[str, Any]) -> dict[str, Any]:
    record = {name: entry[name] for name in ("step", "loss", "learning_rate", "rows", "tokens", "seconds")}
    return record | {ours: entry[theirs] for theirs, ours in EXTRAS.items() if theirs in entry}


def loss_counts(records: list[dict[str, Any]]) -> dict[str, float]:
    """The first step's loss, and the mean of the last tenth."""
    last = records[-max(1, len(records) // 10) :]
    counts = {"loss_first": records[0]["loss"], "loss_last": sum(r["loss"] for r in last) / len(last)}
    for name in ("desirable_reward", "undesirable_reward", "kl"):
        values = [record[name] for record in last if name in record]
        counts |= {name: sum(values) / len(values)} if values else {}
    return counts
