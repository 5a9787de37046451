"""Deletes the jobs that nobody needs any more: unfinished ones of a run that has ended, and those kept long enough."""

from collections.abc import Iterator
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

    Raises JobError for a missing right; a kind that the cluster does not serve has no jobs.
    """
    found = _jobs(cluster, f"{OURS},{RUN_LABEL}={run}", clock)
    return [_delete(cluster, kind, job, clock) for kind, job in found if kind.standing(job).state not in ENDED]


def delete_expired(cluster: Cluster, clock: Clock) -> list[str]:
    """Delete the namespace's jobs that ended longer than their `ttl_seconds` ago; returns their titles."""
    ended = [(kind, job) for kind, job in _jobs(cluster, OURS, clock) if kind.standing(job).state in ENDED]
    return [_delete(cluster, kind, job, clock) for kind, job in ended if _is_expired(job, clock.now())]


def ended_at(job: Object) -> float | None:
    """When a job ended (s since the epoch), by the time in its status or that of its last condition."""
    status = job.get("status") or {}
    told = status.get("endTime") or status.get("completionTime")
    times = [one.get("lastTransitionTime") for one in conditions_of(job).values()]
    return moment(told or max(filter(None, times), default=None))


def _is_expired(job: Object, now: float) -> bool:
    ended, kept = ended_at(job), annotation(job, TTL_ANNOTATION)
    return ended is not None and kept.isdigit() and now - ended > int(kept)


def _jobs(cluster: Cluster, labels: str, clock: Clock) -> Iterator[tuple[Kind, Object]]:
    for kind in KINDS:
        try:
            jobs = patiently(clock, partial(cluster.select, kind.resource, Selector(labels))).items
        except NotServed:
            continue
        yield from ((kind, job) for job in jobs if "deletionTimestamp" not in job["metadata"])


def _delete(cluster: Cluster, kind: Kind, job: Object, clock: Clock) -> str:
    meta = job["metadata"]
    patiently(clock, lambda: end_job(cluster, kind, job))
    title = f"{kind.resource.kind} {cluster.namespace}/{meta['name']}"
    say("clean-up", f"{title}: deleted")
    return title
