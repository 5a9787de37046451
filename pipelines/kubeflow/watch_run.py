"""Follows a submitted run: the state of each task, shown as by `tutelage run`."""

import time
from typing import Any

from components.shared.errors import TutelageError
from pipelines.kubeflow.connection import KubeflowError, connect, explained
from pipelines.kubeflow.explain_failures import Reasons
from pipelines.kubeflow.submission import Submission
from pipelines.local.run_folder import TaskState
from pipelines.local.show_progress import make_display

POLL_SECONDS = 5.0
GO_ON = "submit it again to continue: completed steps are reused"
UNREACHABLE_SECONDS = 600.0
"""How long Kubeflow may be unreachable while a run is watched."""
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
"""Our states by Kubeflow's; in any other state a task is waiting."""


class FollowedRun:
    """One run, whose state is polled."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self._client = connect(submission.access)
        self._reasons = Reasons(submission)

    def ask(self) -> Any:
        """The current state of the run in Kubeflow. Raises KubeflowError."""
        with explained(self.submission.access):
            return self._client.get_run(self.submission.run)

    def states(self, found: Any) -> dict[str, TaskState]:
        """The states of the run's tasks, in the pipeline's order, with messages for those that failed."""
        states = states_of(found, self.submission)
        self._reasons.fill_in(states)
        return states

    def terminate(self) -> None:
        """Terminate the run; nothing happens if it has ended. Raises KubeflowError."""
        with explained(self.submission.access):
            self._client.terminate_run(self.submission.run)


def watch(run: FollowedRun) -> dict[str, TaskState]:
    """Show a run until it ends; returns the states of its tasks.

    Raises:
        KubeflowError: Kubeflow has been unreachable for too long, or refuses the login.
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
    """The states of a run's tasks, in the pipeline's order."""
    states = {name: TaskState(name) for name in submission.tasks.values()}
    cancelled = cancelled_at(run) if run is not None else None
    details = (run.run_details.task_details if run is not None and run.run_details else None) or []
    for detail in details:
        # Kubeflow also lists drivers, executors and groups, which are not tasks of the pipeline.
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
    """When a run was cancelled, in seconds since 1970; None when it was not. Set while the run is still ending.

    A cancelled run ends as FAILED, and so do its stopped tasks: only the state history shows the cancel.
    """
    if run.state in GOOD:
        return None
    times = [one.update_time for one in run.state_history or [] if one.state in CANCELLED]
    if not times and run.state not in CANCELLED:
        return None
    return min((moment.timestamp() for moment in times if moment), default=0.0)


def word_for(run: Any) -> str:
    """The state of a run, for people."""
    if cancelled_at(run) is not None:
        return "cancelled" if run.state in ENDED else "being cancelled"
    return str(run.state).lower()


def require_success(run: Any, states: dict[str, TaskState], submission: Submission) -> None:
    """Raise TutelageError for a run that failed or was cancelled, with the message and remedy of each failed task.

    A failed task counts in a run that SUCCEEDED too: Kubeflow leaves the exit handler out of a run's state.
    """
    failed = [f"{task.name}: {task.message or 'failed'}" for task in states.values() if task.state == "failed"]
    if run.state not in ENDED or (run.state in GOOD and not failed):
        return
    if cancelled_at(run) is not None:
        what = "\n".join([f"run {submission.run} was cancelled", *failed])
        raise TutelageError(f"{what}\n  logs: {submission.link}", remedy=GO_ON)
    why = run.error.message if run.error else ""
    what = "\n".join(failed) or why or f"run {submission.run} failed before any of its tasks did"
    raise TutelageError(f"{what}\n  logs: {submission.link}\n  then: {GO_ON}")


def _ask_patiently(run: FollowedRun) -> Any:
    deadline = time.monotonic() + UNREACHABLE_SECONDS
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
