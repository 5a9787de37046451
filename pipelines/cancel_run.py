"""Ends a submitted run, and sees to it that its jobs are gone."""

from components.launch.clock import Clock
from components.shared.errors import JobError, TutelageError
from pipelines.submission import Submission
from pipelines.watch_run import ENDED, FollowedRun


class AtOnce(Clock):
    """A clock for a person who waits: a server that does not answer is not asked again."""

    def sleep(self, seconds: float) -> None:
        """Give up instead. Raises JobError."""
        raise JobError("the cluster does not answer")


def cancel(run: FollowedRun) -> str:
    """Terminate the run; returns what became of it and of its jobs, for a person.

    Raises:
        KubeflowError: Kubeflow cannot be reached or refuses.
    """
    state = str(run.ask().state)
    if state in ENDED:
        said = f"run {run.submission.run} has ended already: {state.lower()}"
    else:
        run.terminate()
        said = f"run {run.submission.run} is being cancelled"
    return f"{said}; {_end_jobs(run.submission)}"


def _end_jobs(submission: Submission) -> str:
    """Delete what is left of the run's jobs, where we may; the pipeline's last task does it too."""
    from components.launch.clean_up import delete_unfinished
    from components.launch.cluster import Cluster
    from components.launch.identity import job_namespace

    try:
        cluster = Cluster(job_namespace(submission.jobs_namespace or submission.access.namespace))
        ended = delete_unfinished(cluster, submission.run, AtOnce())
    except TutelageError as error:
        return f"its last task deletes its jobs (from here: {error.problem})"
    return f"deleted {', '.join(ended)}" if ended else "none of its jobs is left"
