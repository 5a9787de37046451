"""Deletes the jobs that nobody needs any more: unfinished ones of a run that has ended, and those kept long enough."""

from collections.abc import Callable
from functools import partial

from components.launch.clock import Clock
from components.launch.cluster import Cluster, Selector
from components.launch.end_job import end_job
from components.launch.failure import conditions_of
from components.launch.kind import MANAGED_BY, RUN_LABEL, Kind, Object
from components.launch.marks import TTL_ANNOTATION, annotation
from components.launch.moments import moment
from components.launch.patience import patiently
from components.launch.pytorchjob import PyTorchJobKind
from components.launch.rayjob import RayJobKind
from components.launch.refusals import NotServed
from components.launch.served_schema import ServedTrainJob
from components.launch.trainjob import TrainJobKind
from components.shared.errors import JobError
from components.shared.log import say

# How far a TrainJob is reads the same in all its shapes.
KINDS: tuple[Kind, ...] = (
    RayJobKind(),
    TrainJobKind(ServedTrainJob("runtimePatches", deadline=True)),
    PyTorchJobKind(),
)
ENDED = ("succeeded", "failed")
OURS = ",".join(f"{name}={value}" for name, value in MANAGED_BY.items())


def delete_unfinished(cluster: Cluster, run: str, clock: Clock) -> list[str]:
    """Delete a run's jobs that have not ended; returns their titles.

    Each kind and each job is dealt with by itself. A kind that the cluster does not serve has no jobs.

    Raises:
        JobError: in the end, naming what could not be listed or deleted, and why.
    """
    return _delete_matching(cluster, clock, f"{OURS},{RUN_LABEL}={run}", _is_unfinished)


def delete_left_over(cluster: Cluster, run: str, clock: Clock) -> list[str]:
    """The same, and the namespace's jobs that ended longer than their `ttl_seconds` ago, whatever run they are of.

    Raises:
        JobError: as `delete_unfinished`.
    """
    now = clock.now()

    def is_left_over(kind: Kind, job: Object) -> bool:
        if _is_unfinished(kind, job):
            return bool(run) and job["metadata"]["labels"].get(RUN_LABEL) == run
        return _is_expired(job, now)

    return _delete_matching(cluster, clock, OURS, is_left_over)


def ended_at(job: Object) -> float | None:
    """When a job ended (s since the epoch), by the time in its status or that of its last condition."""
    status = job.get("status") or {}
    told = status.get("endTime") or status.get("completionTime")
    times = [one.get("lastTransitionTime") for one in conditions_of(job).values()]
    return moment(told or max(filter(None, times), default=None))


def _is_unfinished(kind: Kind, job: Object) -> bool:
    return kind.standing(job).state not in ENDED


def _is_expired(job: Object, now: float) -> bool:
    ended, kept = ended_at(job), annotation(job, TTL_ANNOTATION)
    return ended is not None and kept.isdigit() and now - ended > int(kept)


def _delete_matching(cluster: Cluster, clock: Clock, labels: str, matches: Callable[[Kind, Object], bool]) -> list[str]:
    """Delete the jobs that match, of all kinds; failures are raised when everything else is done."""
    deleted: list[str] = []
    failures: list[JobError] = []
    for kind in KINDS:
        try:
            jobs = _jobs(cluster, kind, labels, clock)
        except JobError as error:
            failures.append(error)
            continue
        for job in (one for one in jobs if matches(kind, one)):
            try:
                deleted.append(_delete(cluster, kind, job, clock))
            except JobError as error:
                failures.append(error)
    if failures:
        raise _incomplete(deleted, failures)
    return deleted


def _incomplete(deleted: list[str], failures: list[JobError]) -> JobError:
    problems, rules, remedies = (
        "; ".join(dict.fromkeys(filter(None, (getattr(each, part) for each in failures))))
        for part in ("problem", "rule", "remedy")
    )
    also = f" (deleted: {', '.join(deleted)})" if deleted else ""
    problem = f"not everything could be cleaned up: {problems}{also}"
    return JobError(problem, rule=rules, remedy=remedies, temporary=any(each.temporary for each in failures))


def _jobs(cluster: Cluster, kind: Kind, labels: str, clock: Clock) -> list[Object]:
    """The jobs of a kind; none where it is not served."""
    try:
        jobs = patiently(clock, partial(cluster.select, kind.resource, Selector(labels))).items
    except NotServed:
        return []
    return [job for job in jobs if "deletionTimestamp" not in job["metadata"]]


def _delete(cluster: Cluster, kind: Kind, job: Object, clock: Clock) -> str:
    title = f"{kind.resource.kind} {cluster.namespace}/{job['metadata']['name']}"
    try:
        patiently(clock, lambda: end_job(cluster, kind, job))
    except JobError as error:
        error.problem = f"{title}: {error.problem}"
        raise
    say("clean-up", f"{title}: deleted")
    return title
