"""Deletes jobs that are no longer needed: unfinished ones of a run that has ended, and expired ones."""

from collections.abc import Callable
from functools import partial

from components.launch.api.clock import Clock, seconds_of
from components.launch.api.cluster import Cluster, Selector
from components.launch.api.refusals import NotServed
from components.launch.api.resources import Object
from components.launch.api.silence import until_answered
from components.launch.follow.annotations import TTL_ANNOTATION, annotation
from components.launch.follow.reconcile import ENDED, delete_job
from components.launch.kinds.kind import MANAGED_BY, RUN_LABEL, Kind, is_controlled
from components.launch.registry import custom_resources, make_kind
from components.launch.verdicts.failure import conditions_of
from components.shared.errors import JobError
from components.shared.log import say

OURS = ",".join(f"{name}={value}" for name, value in MANAGED_BY.items())


def delete_unfinished(cluster: Cluster, run: str, clock: Clock) -> list[str]:
    """Delete a run's jobs that have not ended; returns their titles.

    One failure does not keep the other jobs from being deleted. A kind that the cluster does not serve has no jobs.

    Raises:
        JobError: after everything else is done; it names what could not be listed or deleted, and why.
    """
    return _delete_matching(cluster, clock, f"{OURS},{RUN_LABEL}={run}", _is_unfinished)


def delete_left_over(cluster: Cluster, run: str, clock: Clock) -> list[str]:
    """The same, and delete the namespace's jobs of any run that ended more than their `ttl_seconds` ago.

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
    """When a job ended (s since the epoch), by the end time of its status, or else its last condition."""
    status = job.get("status") or {}
    end = status.get("endTime") or status.get("completionTime")
    times = [one.get("lastTransitionTime") for one in conditions_of(job).values()]
    return seconds_of(end or max(filter(None, times), default=None))


def _is_unfinished(kind: Kind, job: Object) -> bool:
    return kind.standing(job).state not in ENDED


def _is_expired(job: Object, now: float) -> bool:
    ended, kept = ended_at(job), annotation(job, TTL_ANNOTATION)
    return ended is not None and kept.isdigit() and now - ended > int(kept)


def _delete_matching(cluster: Cluster, clock: Clock, labels: str, matches: Callable[[Kind, Object], bool]) -> list[str]:
    """Delete the jobs of all kinds that match; failures are raised after everything else is done."""
    deleted: list[str] = []
    failures: list[JobError] = []
    # Any shape of a kind will do: only the status is read.
    for kind in map(make_kind, custom_resources()):
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
        jobs = until_answered(clock, partial(cluster.select, kind.resource, Selector(labels))).items
    except NotServed:
        return []
    return [job for job in jobs if "deletionTimestamp" not in job["metadata"] and not is_controlled(job)]


def _delete(cluster: Cluster, kind: Kind, job: Object, clock: Clock) -> str:
    title = f"{kind.resource.kind} {cluster.namespace}/{job['metadata']['name']}"
    try:
        until_answered(clock, lambda: delete_job(cluster, kind, job, pods_first=False))
    except JobError as error:
        error.problem = f"{title}: {error.problem}"
        raise
    say("clean-up", f"{title}: deleted")
    return title
