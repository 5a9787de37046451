"""The error of a failed job: which pod failed first, why, the last lines of its log, and what to do."""

from components.launch.job import Job, ProgramFailedError, with_last_lines
from components.launch.kinds.kind import Standing
from components.launch.verdicts.failure import OTHER_REMEDY, REMEDIES, PodFailure
from components.shared.errors import JobError

PASSING = ("Evicted", "Preempted", "NodeLost", "Deleted", "Killed")
"""Reasons for a lost pod that are temporary; a pod that exceeded its own memory will exceed it again."""


def job_error(job: Job, failure: PodFailure | None, standing: Standing, tail: list[str]) -> JobError:
    """The error of a failed job.

    Args:
        job: the job.
        failure: of the pod that failed first; None where no pod shows one.
        standing: the state that the operator reports.
        tail: the last lines of that pod's log; empty where the log is gone with the pod.
    """
    how = failure.words if failure else operators_words(standing)
    problem = with_last_lines(f"job {job.name} ({job.module}) failed: {how}", tail)
    remedy = failure.remedy if failure else REMEDIES.get(standing.reason, OTHER_REMEDY)
    if failure is None and standing.reason not in REMEDIES:
        return ProgramFailedError(problem, None, remedy=remedy)
    if failure and not failure.lost and failure.exit_code is not None:
        return ProgramFailedError(problem, failure.exit_code, remedy=remedy)
    return JobError(problem, remedy=remedy, temporary=failure is not None and failure.reason in PASSING)


def operators_words(standing: Standing) -> str:
    """REASON: MESSAGE, as far as there are any."""
    return ": ".join(filter(None, (standing.reason, standing.message))) or standing.state
