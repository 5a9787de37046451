"""A step's work is tried again within its pod, where the back end does not start a pod again that exited with 1.

KFP gives each task a retry strategy without a policy, which Argo reads as OnFailure. The default install of KFP 2.17
merges `retryPolicy: OnError` into it (workflowDefaults in the ConfigMap workflow-controller-configmap): a pod that was
lost is still started again, but one that ended with an exit code is not (kubeflow/pipelines#13485). Nothing that a
pipeline can say changes that.

So a step looks at the strategy that holds for its own pod, and only where that leaves out exit codes it tries again by
itself: as often and with the pauses that the placement asked for, less the pods that were already started.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from components.shared.interruption import may_pass
from components.shared.log import say
from components.shared.step_failure import RETRY_VARIABLE

RETRIES_VARIABLE = "TUTELAGE_RETRIES"
"""How often a failed step is tried again, by its placement; without it, never: a run on one machine is run again."""
RETRY_SECONDS_VARIABLE = "TUTELAGE_RETRY_FOR_SECONDS"
"""The longest time after which a retry still begins, in seconds since the first start."""
TEMPLATE = Path("/var/run/argo/template")
"""The template of this pod in JSON, with the controller's defaults merged in: Argo's emissary leaves it here."""
PAUSE_SECONDS, PAUSE_FACTOR = 30, 2
RETRIES_EXIT_CODES = ("OnFailure", "Always")

Result = TypeVar("Result")


def with_retries(task: str, work: Callable[[], Result]) -> Result:
    """What the work returns in the end.

    Raises:
        Exception: whatever the work raised last. What is wrong with settings, rows or models is raised at once.
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
            f"{text}\n  this may pass, and Kubeflow starts no pod again that failed: retry {done} of {allowed} "
            f"in this pod, in {pause} s",
        )
        time.sleep(pause)


def retries_in_pod() -> int:
    """How often this pod may try again: 0 where the back end starts it again, or where no placement asks for it."""
    asked = int(_number(RETRIES_VARIABLE))
    if not asked or _policy() in RETRIES_EXIT_CODES:
        return 0
    return max(0, asked - int(_number(RETRY_VARIABLE)))


def _policy() -> str:
    """Which ends of this pod Argo tries again; nothing where it tries none again, or where that cannot be read."""
    try:
        strategy = json.loads(TEMPLATE.read_text()).get("retryStrategy")
    except (OSError, ValueError):
        return ""
    if not strategy:
        return ""
    # As Argo reads a strategy without a policy.
    return str(strategy.get("retryPolicy") or ("Always" if strategy.get("expression") else "OnFailure"))


def _number(variable: str) -> float:
    text = os.environ.get(variable, "")
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0
