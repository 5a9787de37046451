"""What a person reads when a job did not end well: which pod failed first, why, its last lines, and what to do."""

from components.launch.failure import OTHER_REMEDY, REMEDIES, PodFailure
from components.launch.job import Job
from components.launch.kind import Standing
from components.launch.local import told_failures
from components.shared.errors import TEMPORARY_EXIT_CODE, JobError, SettingsError

LAST_LINES = 10
PASSING = ("Evicted", "Preempted", "NodeLost", "Deleted", "Killed")
"""Why pods are lost that may run to their end another time; one that ran out of its own memory will again."""


def job_error(job: Job, failure: PodFailure | None, standing: Standing, tail: list[str]) -> JobError:
    """The error of a failed job.

    Args:
        job: the job.
        failure: of the pod that failed first; None where no pod tells, and the operator's words must do.
        standing: how the operator puts it.
        tail: the last lines of that pod's log; none where the log went with the pod.
    """
    how = failure.words if failure else operators_words(standing)
    lines = told_failures(tail) or tail[-LAST_LINES:]
    shown = "; its last lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else "; it left no log"
    remedy = failure.remedy if failure else REMEDIES.get(standing.reason, OTHER_REMEDY)
    temporary = failure is not None and (failure.reason in PASSING or failure.exit_code == TEMPORARY_EXIT_CODE)
    error = JobError(f"job {job.name} ({job.module}) failed: {how}{shown}", remedy=remedy, temporary=temporary)
    if failure and failure.exit_code == SettingsError.exit_code:
        error.exit_code = SettingsError.exit_code
    return error


def operators_words(standing: Standing) -> str:
    """REASON: MESSAGE, as far as there are any."""
    return ": ".join(filter(None, (standing.reason, standing.message))) or standing.state
