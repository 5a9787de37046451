"""Follows a submitted run: the state of each task, as `tutelage run` shows it."""

import time
from typing import Any

from components.shared.errors import TutelageError
from pipelines.kubeflow import KubeflowError, connect, explained
from pipelines.run_folder import TaskState
from pipelines.show_progress import make_display
from pipelines.submission import Submission

POLL_SECONDS = 5.0
PATIENCE_SECONDS = 600.0
"""How long Kubeflow may be out of reach while a run is watched."""
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
STATES = {
    "RUNNING": "running",
    "SUCCEEDED": "done",
    "SKIPPED": "done",
    "FAILED": "failed",
    "CANCELING": "interrupted",
    "CANCELED": "interrupted",
}
"""Ours for Kubeflow's; every other one means that the task waits."""


class FollowedRun:
    """One run, asked for again and again."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self._client = connect(submission.access)

    def ask(self) -> Any:
        """The run as Kubeflow knows it now. Raises KubeflowError."""
        with explained(self.submission.access):
            return self._client.get_run(self.submission.run)

    def terminate(self) -> None:
        """End the run; one that has ended stays as it is. Raises KubeflowError."""
        with explained(self.submission.access):
            self._client.terminate_run(self.submission.run)


def watch(run: FollowedRun) -> dict[str, TaskState]:
    """Show a run until it ends; returns the states of its tasks.

    Raises:
        KubeflowError: Kubeflow has been out of reach for too long, or lets us in no more.
        TutelageError: the run failed or was cancelled; names the task.
    """
    states = states_of(None, run.submission)
    with make_display(list(states)) as display:
        while True:
            found = _ask_patiently(run)
            before, states = states, states_of(found, run.submission)
            display.show(_changes(before, states), states)
            if found.state in ENDED:
                break
            time.sleep(POLL_SECONDS)
    require_success(found, states, run.submission)
    return states


def states_of(run: Any, submission: Submission) -> dict[str, TaskState]:
    """Our states of a run's tasks, in the pipeline's order."""
    states = {name: TaskState(name) for name in submission.tasks.values()}
    details = (run.run_details.task_details if run is not None and run.run_details else None) or []
    for detail in details:
        # Kubeflow also lists drivers, executors and groups, which a person has not asked for.
        name = submission.tasks.get(detail.display_name or "")
        if name is None:
            continue
        task = states[name]
        task.state = STATES.get(detail.state or "", "waiting")
        task.began = detail.start_time.timestamp() if detail.start_time else 0.0
        task.ended = detail.end_time.timestamp() if detail.end_time else time.time()
        task.message = (detail.error.message or "") if detail.error and task.state == "failed" else ""
    return states


def require_success(run: Any, states: dict[str, TaskState], submission: Submission) -> None:
    """Raise TutelageError for a run that ended badly."""
    if run.state in {"SUCCEEDED", "SKIPPED"} or run.state not in ENDED:
        return
    failed = [task for task in states.values() if task.state == "failed"]
    why = run.error.message if run.error else ""
    what = f"{failed[0].name}: {failed[0].message or 'failed'}" if failed else why or f"the run is {run.state.lower()}"
    raise TutelageError(
        f"{what}\n  logs: {submission.link}",
        remedy="the log of the task says why; submit again after mending it: what is done is not done again",
    )


def _ask_patiently(run: FollowedRun) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return run.ask()
        except KubeflowError as error:
            if not error.temporary or time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def _changes(before: dict[str, TaskState], after: dict[str, TaskState]) -> list[dict[str, Any]]:
    return [
        {"kind": "state", "task": name, "state": task.state}
        for name, task in after.items()
        if task.state != before[name].state
    ]
