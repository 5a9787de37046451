"""Retries a step's work within its pod where the back end does not retry pods that exited with an error.

KFP gives each task a retry strategy without a policy, which Argo reads as OnFailure. The default install of KFP 2.17
merges `retryPolicy: OnError` into it (workflowDefaults in the ConfigMap workflow-controller-configmap): a lost
pod is still retried, but one that exited with an error is not (kubeflow/pipelines#13485), and a pipeline cannot
override that.

A step therefore reads the strategy of its own pod. If that leaves out exit codes, the step retries by itself: as often
and with the pauses that the placement asks for, less the pods that were already started.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from components.shared.log import say
from components.shared.process.interruption import may_pass
from components.shared.process.step_failure import RETRY_VARIABLE

RETRIES_VARIABLE = "TUTELAGE_RETRIES"
"""Retries of a failed step, set by its placement. Unset: none, as on one machine, where the run is started again."""
RETRY_SECONDS_VARIABLE = "TUTELAGE_RETRY_FOR_SECONDS"
"""The time since the first start after which no retry begins, in seconds."""
TEMPLATE = Path("/var/run/argo/template")
"""The template of this pod in JSON, with the controller's defaults merged in: Argo's emissary leaves it here."""
PAUSE_SECONDS, PAUSE_FACTOR = 30, 2
RETRIES_EXIT_CODES = ("OnFailure", "Always")

Result = TypeVar("Result")


def with_retries(task: str, work: Callable[[], Result]) -> Result:
    """The result of the work, after as many retries as needed.

    Raises:
        Exception: the last exception of the work; one that is not temporary (settings, rows, models) at once.
    """
    allowed, latest = retries_in_pod(), time.monotonic() + _number(RETRY_SECONDS_VARIABLE)
    done = 0
    while True:
        try:
            return work()
        except Exception as error:
            pause = PAUSE_SECONDS * PAUSE_FACTOR**done
            if done >= allowed or not may_pass(error) or time.monotonic() + pause > latest:
                raise
            text = str(error) or type(error).__name__
        done += 1
        say(
            task,
            f"{text}\n  temporary, and Kubeflow does not retry failed pods: "
            f"retry {done} of {allowed} in this pod in {pause} s",
        )
        time.sleep(pause)


def retries_in_pod() -> int:
    """How often this pod may retry: 0 where the back end retries it, or where no placement asks for retries."""
    asked = int(_number(RETRIES_VARIABLE))
    if not asked or _policy() in RETRIES_EXIT_CODES:
        return 0
    return max(0, asked - int(_number(RETRY_VARIABLE)))


def _policy() -> str:
    """Argo's retry policy for this pod; empty if it has none, or if it cannot be read."""
    try:
        strategy = json.loads(TEMPLATE.read_text()).get("retryStrategy")
    except (OSError, ValueError):
        return ""
    if not strategy:
        return ""
    # Argo's default for a strategy without a policy.
    return str(strategy.get("retryPolicy") or ("Always" if strategy.get("expression") else "OnFailure"))


def _number(variable: str) -> float:
    text = os.environ.get(variable, "")
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0
