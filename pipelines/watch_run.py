"""Follows a submitted run: the state of each task, as `tutelage run` shows it."""

import time
from typing import Any

from components.shared.errors import TutelageError
from pipelines.explain_failures import Reasons
from pipelines.kubeflow import KubeflowError, connect, explained
from pipelines.run_folder import TaskState
from pipelines.show_progress import make_display
from pipelines.submission import Submission

POLL_SECONDS = 5.0
GO_ON = "submit again to go on: what is done is not done again"
PATIENCE_SECONDS = 600.0
"""How long Kubeflow may be out of reach while a run is watched."""
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
CANCELLED = ("CANCELING", "CANCELED")
GOOD = ("SUCCEEDED", "SKIPPED")
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
        self._reasons = Reasons(submission)

    def ask(self) -> Any:
        """The run as Kubeflow knows it now. Raises KubeflowError."""
        with explained(self.submission.access):
            return self._client.get_run(self.submission.run)

    def states(self, found: Any) -> dict[str, TaskState]:
        """Our states of the run's tasks, in the pipeline's order; those that failed say why."""
        states = states_of(found, self.submission)
        self._reasons.fill_in(states)
        return states

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
            before, states = states, run.states(found)
            display.show(_changes(before, states), states)
            if found.state in ENDED:
                break
            time.sleep(POLL_SECONDS)
    require_success(found, states, run.submission)
    return states


def states_of(run: Any, submission: Submission) -> dict[str, TaskState]:
    """Our states of a run's tasks, in the pipeline's order."""
    states = {name: TaskState(name) for name in submission.tasks.values()}
    cancelled = cancelled_at(run) if run is not None else None
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
        if task.state == "failed" and cancelled is not None and task.ended >= cancelled:
            task.state = "interrupted"
        task.message = (detail.error.message or "") if detail.error and task.state == "failed" else ""
    return states


def cancelled_at(run: Any) -> float | None:
    """When somebody cancelled a run (s since the epoch), also while it is still ending; None when nobody did.

    A cancelled run ends as FAILED, like its tasks that were stopped: only the history of its states tells.
    """
    if run.state in GOOD:
        return None
    times = [one.update_time for one in run.state_history or [] if one.state in CANCELLED]
    if not times and run.state not in CANCELLED:
        return None
    return min((moment.timestamp() for moment in times if moment), default=0.0)


def word_for(run: Any) -> str:
    """A run's state in a word."""
    if cancelled_at(run) is not None:
        return "cancelled" if run.state in ENDED else "being cancelled"
    return str(run.state).lower()


def require_success(run: Any, states: dict[str, TaskState], submission: Submission) -> None:
    """Raise TutelageError for a run that ended badly: each failed task with its own message and remedy."""
    if run.state in GOOD or run.state not in ENDED:
        return
    failed = [f"{task.name}: {task.message or 'failed'}" for task in states.values() if task.state == "failed"]
    if cancelled_at(run) is not None:
        what = "\n".join([f"run {submission.run} was cancelled", *failed])
        raise TutelageError(f"{what}\n  logs: {submission.link}", remedy=GO_ON)
    why = run.error.message if run.error else ""
    what = "\n".join(failed) or why or f"run {submission.run} failed before any of its tasks did"
    raise TutelageError(f"{what}\n  logs: {submission.link}\n  then: {GO_ON}")


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
