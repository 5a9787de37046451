"""Cancels a submitted run and deletes its jobs."""

from components.launch.api.clock import Clock
from components.shared.errors import JobError, TutelageError
from pipelines.kubeflow.submission import Submission
from pipelines.kubeflow.watch_run import ENDED, FollowedRun


class NoRetries(Clock):
    """A clock for interactive use: a request that fails is not retried."""

    def sleep(self, seconds: float) -> None:
        """Give up instead of waiting. Raises JobError."""
        raise JobError("the cluster does not respond")


def cancel(run: FollowedRun) -> str:
    """Terminate the run; returns what happened to it and to its jobs, for people.

    Raises:
        KubeflowError: Kubeflow cannot be reached or refuses.
    """
    state = str(run.ask().state)
    if state in ENDED:
        said = f"run {run.submission.run} has already ended: {state.lower()}"
    else:
        run.terminate()
        said = f"run {run.submission.run} is being cancelled"
    return f"{said}; {_end_jobs(run.submission)}"


def _end_jobs(submission: Submission) -> str:
    """Delete the run's unfinished jobs, if this login may; the pipeline's exit handler deletes them too."""
    from components.launch.api.cluster import Cluster
    from components.launch.follow.clean_up import delete_unfinished
    from components.launch.follow.identity import job_namespace

    try:
        cluster = Cluster(job_namespace(submission.jobs_namespace or submission.access.namespace))
        ended = delete_unfinished(cluster, submission.run, NoRetries())
    except TutelageError as error:
        return f"its exit handler deletes its jobs (not deleted from here: {error.problem})"
    return f"deleted {', '.join(ended)}" if ended else "it has no unfinished jobs"
