"""Follows one attempt of a job to its end: its resource, its pods, its log, and the limits of its time."""

import threading
from dataclasses import dataclass
from typing import Literal

from components.launch.api.admission import advise
from components.launch.api.clock import seconds_of
from components.launch.api.cluster import Selector
from components.launch.api.events import WarningEvents
from components.launch.api.refusals import Absent, NotReady, Unreachable
from components.launch.api.resources import PODS, Object
from components.launch.api.watch import ObservedObjects, Watcher
from components.launch.follow.annotations import annotation, attempt_of, nodes_of
from components.launch.follow.limits import JobAbandonedError, TimeLimits, state_since
from components.launch.follow.pod_log import PodLog, has_begun
from components.launch.follow.reconcile import ClusterJob
from components.launch.job import TAIL_LINES
from components.launch.kinds.kind import ATTEMPT_ANNOTATION, CREATION_ANNOTATION, Standing
from components.launch.verdicts.failure import PodFailure, failure_of, first_failure, main_container
from components.launch.verdicts.job_error import job_error, operators_words
from components.launch.verdicts.lost_ranks import LostRanks
from components.launch.verdicts.missing_nodes import FewerNodes, MissingNodes
from components.launch.verdicts.start_trouble import Troubles
from components.shared.errors import JobError
from components.shared.log import say

CHECK_SECONDS = 5.0
"""How often the limits are checked when nothing changes."""
SETTLE_SECONDS = 5.0
"""How long after the resource's end its pods may update their status: the first failure may be reported last."""
WARNINGS_AFTER_SECONDS = 20.0
WARNINGS_SECONDS = 30.0


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended. `gone`: somebody deleted its resource; `lost`: pods of it were lost.

    `short`: nodes that were lost before it are not replaced, and the job may continue on `fewer`.
    """

    state: Literal["succeeded", "failed", "lost", "gone", "short"]
    failure: PodFailure | None = None
    error: JobError | None = None
    fewer: FewerNodes | None = None


class AttemptFollower:
    """Follows one attempt of a job. The `limits` count over all attempts."""

    def __init__(self, running: ClusterJob, limits: TimeLimits, resource: Object) -> None:
        self._kind, self._job, self._title = running.kind, running.job, running.title
        self._cluster, self._clock, self._limits = running.cluster, running.clock, limits
        self._name = running.name
        self._uid: str = resource["metadata"]["uid"]
        self._troubles = Troubles(running.job.launch.start_seconds)
        self._warnings = WarningEvents(running.cluster, running.name)
        self._failures: dict[str, PodFailure] = {}
        self._lost_ranks = LostRanks()
        self._missing = MissingNodes(running.job, running.kind, attempt_of(resource), nodes_of(resource))
        self._too_few = ""
        self._requeued: set[str] = set()
        self._changed = threading.Event()
        self._log: PodLog | None = None
        self._standing = Standing("queued", "not observed yet")
        self._standing_since = self._clock.now()
        self._warned_at = 0.0

    def follow(self) -> AttemptOutcome:
        """Follow it to its end.

        Raises:
            JobAbandonedError: a limit is exceeded, or a pod can never start.
            JobError: a right is missing, or the API server does not answer.
        """
        by_name = Selector(name=self._name)
        self._resources = Watcher(self._cluster, self._kind.resource, by_name, self._changed, self._clock)
        by_label = Selector(labels=self._kind.pod_selector(self._job))
        self._pods = Watcher(self._cluster, PODS, by_label, self._changed, self._clock)
        try:
            while (outcome := self._check()) is None:
                self._clock.wait(self._changed, CHECK_SECONDS)
                self._changed.clear()
            return outcome
        finally:
            for followed in (self._resources, self._pods, self._log):
                if followed is not None:
                    followed.stop()

    def _check(self) -> AttemptOutcome | None:
        resources, pods = self._resources.observed(), self._pods.observed()
        if resources is None or pods is None:
            return None
        resource = next((one for one in resources.present if one["metadata"]["uid"] == self._uid), None)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            return AttemptOutcome("gone")
        self._note_standing(self._kind.standing(resource))
        pods = self._without_requeued(pods_of_attempt(resource, pods))
        self._note_failures(pods.all)
        self._follow_log(pods.present)
        if self._standing.state in ("succeeded", "failed"):
            return self._end(pods)
        now = self._clock.now()
        if short := self._short_of_nodes(pods, now):
            return short
        self._judge_start(pods.present)
        if broken := self._broken(pods, now):
            return self._failed(broken, pods)
        self._limits.check(self._standing.state, state_since(self._standing.state, resource, pods.present, now), now)
        if news := self._limits.queue_news(now):
            say("launch", news)
        return None

    def _note_standing(self, standing: Standing) -> None:
        if standing.state != self._standing.state:
            self._standing_since = self._clock.now()
        if (standing.state, standing.reason) != (self._standing.state, self._standing.reason):
            words = f" ({operators_words(standing)})" if standing.reason or standing.message else ""
            say("launch", f"{self._title}: {standing.state}{words}")
        self._standing = standing

    def _without_requeued(self, pods: ObservedObjects) -> ObservedObjects:
        """Without the pods that a queue evicted: they are not failures of the next admission, while they terminate.

        Pods that do not terminate may be new, and the status of their admission not yet observed.
        """
        if self._standing.state == "queued":
            metas = [pod["metadata"] for pod in pods.all]
            self._requeued |= {meta["uid"] for meta in metas if "deletionTimestamp" in meta}
        return pods.without(self._requeued)

    def _note_failures(self, pods: list[Object]) -> None:
        """Keep the first failure observed of each pod, in their order: timestamps alone have whole seconds."""
        found = {pod["metadata"]["uid"]: failure for pod in pods if (failure := failure_of(pod))}
        self._failures = {uid: one for uid, one in self._failures.items() if uid in found}
        # ObservedObjects together, in the same second: operators delete the remaining pods when one has failed.
        for uid, failure in sorted(found.items(), key=lambda item: (item[1].at, item[1].reason == "Deleted")):
            self._failures.setdefault(uid, failure)

    def _follow_log(self, pods: list[Object]) -> None:
        mains = [pod for pod in pods if self._kind.is_main(pod) and has_begun(pod)]
        newest = max(mains, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)
        if self._log is not None:
            self._log.check()
        if newest is None or (self._log is not None and self._log.uid == newest["metadata"]["uid"]):
            return
        if self._log is not None:
            self._log.stop()
        uid = newest["metadata"]["uid"]
        self._log = PodLog(self._cluster, newest, lambda: self._pod(uid), self._clock)

    def _pod(self, uid: str) -> Object | None:
        pods = self._pods.observed()
        return next((pod for pod in pods.present if pod["metadata"]["uid"] == uid), None) if pods else None

    def _end(self, pods: ObservedObjects) -> AttemptOutcome | None:
        settled = self._clock.now() - self._standing_since >= SETTLE_SECONDS
        if self._standing.state == "succeeded":
            if self._log is None and not settled:
                return None
            self._finish_log()
            return AttemptOutcome("succeeded")
        if not settled:
            return None
        return self._failed(first_failure(self._failures.values()), pods)

    def _failed(self, failure: PodFailure | None, pods: ObservedObjects) -> AttemptOutcome:
        self._finish_log()
        error = job_error(self._job, failure, self._standing, self._tail(failure, pods))
        return AttemptOutcome("lost" if failure and failure.lost else "failed", failure, error)

    def _broken(self, pods: ObservedObjects, now: float) -> PodFailure | None:
        """What has broken a job that its operator reports as running; Ray continues without a worker."""
        if self._standing.state != "running" or self._job.program == "ray":
            return None
        return self._lost_ranks.check(pods, self._failures, now)

    def _short_of_nodes(self, pods: ObservedObjects, now: float) -> AttemptOutcome | None:
        """Whether the job continues on fewer nodes. An attempt that has lost a pod itself ends by that."""
        fewer = self._missing.check(pods, now, queued=self._standing.state == "queued") if not self._failures else None
        if fewer is None:
            return None
        if fewer.nodes:
            return AttemptOutcome("short", fewer=fewer)
        if fewer.words != self._too_few:
            self._too_few = fewer.words
            say("launch", f"{self._title}: {fewer.words}; too few to continue (launch.least_nodes), waiting for more")
        return None

    def _finish_log(self) -> None:
        if self._log is not None:
            self._log.finish()

    def _tail(self, failure: PodFailure | None, pods: ObservedObjects) -> list[str]:
        """The last lines of the pod that failed first, or of the main pod where none failed."""
        ours = self._log if self._log and (failure is None or failure.pod == self._log.pod) else None
        if ours is not None or failure is None:
            return list(ours.tail) if ours else []
        pod = next((one for one in pods.present if one["metadata"]["name"] == failure.pod), None)
        if pod is None:
            return []
        try:
            return self._cluster.read_log(failure.pod, failure.container or main_container(pod), TAIL_LINES)
        except (Absent, NotReady, Unreachable):
            return []

    def _judge_start(self, pods: list[Object]) -> None:
        """Report what keeps pods from starting. Raises JobAbandonedError when its grace period is over."""
        now = self._clock.now()
        alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        for words in self._troubles.note(alive, now):
            say("launch", words)
        self._report_warnings(now)
        # Ray continues without a worker for which there is no capacity.
        if self._standing.state == "running" and self._job.program == "ray":
            return
        if trouble := self._troubles.hopeless(alive, now):
            problem = f"job {self._job.name} cannot start: {trouble.words}"
            raise JobAbandonedError(problem, rule=self._troubles.rule(trouble), remedy=trouble.remedy)
        starting = now - self._standing_since if self._standing.state == "starting" else 0.0
        if starting > self._job.launch.start_seconds and (not alive or self._warnings.last):
            self._give_up_starting()

    def _report_warnings(self, now: float) -> None:
        late = self._standing.state == "starting" and now - self._standing_since > WARNINGS_AFTER_SECONDS
        if late and now - self._warned_at > WARNINGS_SECONDS:
            self._warned_at = now
            for words in self._warnings.read_new():
                say("launch", words)

    def _give_up_starting(self) -> None:
        words = self._warnings.last or operators_words(self._standing)
        advice = advise(self._warnings.last, self._cluster.namespace)
        raise JobAbandonedError(
            f"job {self._job.name} did not start within {self._job.launch.start_seconds:.0f} s: {words}",
            rule="launch.start_seconds",
            remedy=advice.remedy
            if advice
            else "check that the operator runs, and that no quota or policy of the namespace refuses the pods",
        )


def pods_of_attempt(resource: Object, pods: ObservedObjects) -> ObservedObjects:
    """Only the pods of this attempt: those of an earlier one may still be terminating.

    One of them may even be younger than this resource: while a TrainJob is being deleted, its operator recreates its
    pods, and the garbage collector deletes them at once. What a pod is annotated with decides, as far as it is.
    """
    created = seconds_of(resource["metadata"]["creationTimestamp"]) or 0.0

    def is_ours(pod: Object) -> bool:
        same = all(
            annotation(pod, name) in ("", annotation(resource, name))
            for name in (ATTEMPT_ANNOTATION, CREATION_ANNOTATION)
        )
        return same and (seconds_of(pod["metadata"].get("creationTimestamp")) or 0.0) >= created

    return ObservedObjects([pod for pod in pods.present if is_ours(pod)], [pod for pod in pods.gone if is_ours(pod)])
