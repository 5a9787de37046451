"""Runs a job of any kind on a cluster to its end: make or find its resource, follow it, judge how it ended.

What becomes of the resource:

- it ended: it stays for `ttl_seconds`, and the next step that asks for the job again has it made anew;
- a limit of time, or a trouble that cannot pass, ended it: it is deleted;
- the run was cancelled (SIGTERM in a pod that is not being deleted, or Ctrl-C): it is deleted, before a word is said;
- the step's own pod goes (evicted, deleted): it stays, and the pod's successor adopts it;
- anything else ended the step (a missing right, an API server that is silent): in a pod of a pipeline it stays for a
  retry, and the run's exit handler deletes it if none comes; elsewhere it is deleted.
"""

import contextlib

from components.launch.adopt import Keeper
from components.launch.attempt import AttemptFollower, Outcome
from components.launch.clock import Clock
from components.launch.cluster import Cluster
from components.launch.identity import job_namespace, own_pod, pod_stays, who_we_are
from components.launch.interrupt import terminated_by_sigterm
from components.launch.job import Job
from components.launch.kind import Kind, Object
from components.launch.launching import Launching
from components.launch.limits import Limits, OutOfPatience
from components.launch.marks import attempt_of
from components.shared.log import say


def run_on_cluster(kind: Kind, job: Job) -> None:
    """Run a job to its end, its main pod's log going to stderr.

    Raises:
        JobError: it ended badly; the pod that failed first, why, and the last lines of its log are in the message.
    """
    with terminated_by_sigterm():
        cluster, clock = Cluster(job_namespace(job.launch.pods.namespace)), Clock()
        run_to_the_end(Launching(kind, job, cluster, who_we_are(cluster, clock), clock))


def run_to_the_end(launching: Launching) -> None:
    """As `run_on_cluster`, where everything is given."""
    job, keeper = launching.job, Keeper(launching)
    limits = Limits(f"job {job.name}", job.launch)
    try:
        resource = keeper.start()
        while True:
            outcome = AttemptFollower(launching, limits, resource).follow()
            if outcome.state in ("succeeded", "failed") or _is_last(job, resource, outcome):
                keeper.let_go(resource)
                break
            resource = keeper.again(resource) if outcome.state == "gone" else _restart(job, keeper, resource, outcome)
    except KeyboardInterrupt:
        _interrupted(launching, keeper)
        raise
    except BaseException as error:
        if (isinstance(error, OutOfPatience) or not own_pod()) and not keeper.remove_ours():
            say("launch", f"{keeper.title} could not be deleted: delete it, or run again to go on with it")
        raise
    if outcome.error is not None:
        raise outcome.error


def _is_last(job: Job, resource: Object, outcome: Outcome) -> bool:
    """Whether pods were lost more often than the job may be started again."""
    if outcome.state != "lost" or attempt_of(resource) < job.launch.restarts:
        return False
    if outcome.error is not None and job.launch.restarts:
        outcome.error.problem += f"\n  pods were lost {attempt_of(resource) + 1} times (launch.restarts)"
    return True


def _restart(job: Job, keeper: Keeper, resource: Object, outcome: Outcome) -> Object:
    """Delete the resource and make it anew, one start further."""
    number = attempt_of(resource) + 1
    words = outcome.failure.words if outcome.failure else "pods were lost"
    say("launch", f"{keeper.title}: {words}; starting again, {number} of {job.launch.restarts}")
    keeper.remove(resource)
    keeper.wait_until_gone(resource)
    return keeper.create(number) or keeper.again(resource)


def _interrupted(launching: Launching, keeper: Keeper) -> None:
    """Less than a second may be left: clean up first, and speak last."""
    said = "this step's pod goes; the job stays, and the step's next pod follows it"
    if pod_stays(launching.cluster):
        said = "cancelled, the job is deleted" if keeper.remove_ours() else "cancelled, but the job cannot be deleted"
    # Nobody may be left who reads it.
    with contextlib.suppress(OSError):
        say("launch", f"{keeper.title}: {said}")
