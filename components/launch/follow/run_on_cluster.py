"""Runs a job on a cluster to its end: creates or adopts its resource, follows it, and judges how it ended.

What becomes of the resource:

- it ended: it stays for `ttl_seconds`; the next step that asks for the job triggers a re-run;
- a limit was exceeded, or it can never start: it is deleted;
- the run was cancelled (SIGTERM while the step's own pod is not being deleted, or Ctrl-C): it is deleted first, and
  logged after that;
- the step's own pod is evicted or deleted: it stays, and the next pod of the step adopts it;
- anything else ended the step (a missing right, an API server that does not answer): in a pipeline's pod it stays for a
  retry, and the run's exit handler deletes it if there is none; elsewhere it is deleted.
"""

import contextlib

from components.launch.api.clock import Clock
from components.launch.api.cluster import Cluster
from components.launch.api.resources import Object
from components.launch.api.silence import until_answered
from components.launch.follow.annotations import attempt_of
from components.launch.follow.attempt import AttemptFollower, AttemptOutcome
from components.launch.follow.identity import job_namespace, own_pod, pod_stays, who_we_are
from components.launch.follow.limits import JobAbandonedError, TimeLimits
from components.launch.follow.reconcile import ClusterJob, JobReconciler
from components.launch.job import Job
from components.launch.kinds.kind import Kind
from components.launch.registry import LAUNCHERS, make_kind
from components.shared.log import say
from components.shared.process.signals import sigterm_raises
from components.shared.text.counted import counted


def run_on_cluster(job: Job) -> None:
    """Run a job to its end; the log of its main pod goes to stderr.

    Raises:
        JobError: it failed; the message names the pod that failed first, the reason, and the last lines of its log.
    """
    with sigterm_raises():
        cluster, clock = Cluster(job_namespace(job.launch.pods.namespace)), Clock()
        kind = served_kind(cluster, job.launch.launcher, clock)
        run_to_the_end(ClusterJob(kind, job, cluster, who_we_are(cluster, clock), clock))


def served_kind(cluster: Cluster, launcher: str, clock: Clock) -> Kind:
    """The launcher's kind in the shape that the cluster serves; that of its fallback where it serves none.

    Raises:
        JobError: the API server refuses or does not answer.
    """
    kind: Kind = make_kind(launcher)
    served = until_answered(clock, lambda: kind.as_served(cluster))
    fallback = LAUNCHERS[launcher].fallback
    if served is not None or not fallback:
        return served or kind
    say("launch", f"this cluster serves no {launcher} in a known version: running a {fallback} instead")
    return served_kind(cluster, fallback, clock)


def run_to_the_end(running: ClusterJob) -> None:
    """As `run_on_cluster`, with everything given."""
    job, reconciler = running.job, JobReconciler(running)
    limits = TimeLimits(f"job {job.name}", job.launch)
    try:
        resource = reconciler.ensure()
        while True:
            outcome = AttemptFollower(running, limits, resource).follow()
            if outcome.state in ("succeeded", "failed") or _is_last(job, resource, outcome):
                reconciler.acknowledge(resource)
                break
            resource = _next_attempt(job, reconciler, resource, outcome)
    except KeyboardInterrupt:
        _interrupted(running, reconciler)
        raise
    except BaseException as error:
        if (isinstance(error, JobAbandonedError) or not own_pod()) and not reconciler.delete_ours():
            say("launch", f"{reconciler.title} could not be deleted: delete it, or run again to continue with it")
        raise
    if outcome.error is not None:
        raise outcome.error


def _is_last(job: Job, resource: Object, outcome: AttemptOutcome) -> bool:
    """Whether pods were lost and no restart is left."""
    if outcome.state != "lost" or attempt_of(resource) < job.launch.restarts:
        return False
    if outcome.error is not None and job.launch.restarts:
        outcome.error.problem += f"\n  pods were lost {attempt_of(resource) + 1} times (launch.restarts)"
    return True


def _next_attempt(job: Job, reconciler: JobReconciler, resource: Object, outcome: AttemptOutcome) -> Object:
    """The resource of the next attempt: created here, or by another step that deleted this one."""
    if outcome.state == "gone":
        return reconciler.adopt_replacement(resource)
    # A start on fewer nodes belongs to the restart that lacks them, and counts as no further one.
    number, nodes = attempt_of(resource), outcome.fewer.nodes if outcome.fewer else ()
    if outcome.fewer:
        words = f"{outcome.fewer.words}; continuing on {counted(len(nodes), 'node')}"
    else:
        number += 1
        lost = outcome.failure.words if outcome.failure else "pods were lost"
        words = f"{lost}; starting again, {number} of {job.launch.restarts}"
    say("launch", f"{reconciler.title}: {words}")
    reconciler.delete(resource)
    reconciler.wait_until_gone(resource)
    return reconciler.create(number, nodes) or reconciler.adopt_replacement(resource)


def _interrupted(running: ClusterJob, reconciler: JobReconciler) -> None:
    """Clean up first and log last: the process may have less than a second left."""
    news = "this step's pod is being deleted; the job continues, and the step's next pod follows it"
    if pod_stays(running.cluster):
        news = "cancelled, the job is deleted" if reconciler.delete_ours() else "cancelled, but the job remains"
    # Nobody may be left to read it.
    with contextlib.suppress(OSError):
        say("launch", f"{reconciler.title}: {news}")
