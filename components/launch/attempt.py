"""Follows one start of a job to its end: its resource, its pods, its log, and the limits of its time."""

import threading
from dataclasses import dataclass
from typing import Literal

from components.launch.admission import advise
from components.launch.cluster import PODS, Selector
from components.launch.events import Warnings
from components.launch.failure import PodFailure, failure_of, first_failure, main_container
from components.launch.follow import Following, Seen
from components.launch.job_error import job_error, operators_words
from components.launch.kind import ATTEMPT_ANNOTATION, Object, Standing
from components.launch.launching import Launching
from components.launch.limits import Limits, OutOfPatience, state_since
from components.launch.local import TAIL_LINES
from components.launch.lost_ranks import LostRanks
from components.launch.marks import annotation, attempt_of
from components.launch.moments import moment
from components.launch.pod_log import PodLog, has_begun
from components.launch.refusals import Absent, NotReady, Unreachable
from components.launch.start_trouble import Troubles
from components.shared.errors import JobError
from components.shared.log import say

LOOK_SECONDS = 5.0
"""How often the limits are looked at when nothing changes."""
SETTLE_SECONDS = 5.0
"""How long after the resource's end its pods' last statuses are awaited: the first failure may be told last."""
WARNINGS_AFTER_SECONDS = 20.0
WARNINGS_SECONDS = 30.0


@dataclass(frozen=True)
class Outcome:
    """How a start of a job ended; `gone`: somebody deleted its resource. `lost`: for pods that were lost."""

    state: Literal["succeeded", "failed", "lost", "gone"]
    failure: PodFailure | None = None
    error: JobError | None = None


class AttemptFollower:
    """One start of a job. `limits` go on counting from start to start."""

    def __init__(self, launching: Launching, limits: Limits, resource: Object) -> None:
        self._kind, self._job, self._title = launching.kind, launching.job, launching.title
        self._cluster, self._clock, self._limits = launching.cluster, launching.clock, limits
        self._name = launching.name
        self._uid: str = resource["metadata"]["uid"]
        self._troubles = Troubles(launching.job.launch.start_seconds)
        self._warnings = Warnings(launching.cluster, launching.name)
        self._failures: dict[str, PodFailure] = {}
        self._lost_ranks = LostRanks()
        self._sent_back: set[str] = set()
        self._changed = threading.Event()
        self._log: PodLog | None = None
        self._standing = Standing("queued", "nothing is known yet")
        self._standing_since = self._clock.now()
        self._warned = 0.0

    def follow(self) -> Outcome:
        """Follow it to its end. Raises JobError for a missing right, OutOfPatience for a limit."""
        by_name = Selector(name=self._name)
        self._resources = Following(self._cluster, self._kind.resource, by_name, self._changed, self._clock)
        by_label = Selector(labels=self._kind.pod_selector(self._job))
        self._pods = Following(self._cluster, PODS, by_label, self._changed, self._clock)
        try:
            while (outcome := self._look()) is None:
                self._clock.wait(self._changed, LOOK_SECONDS)
                self._changed.clear()
            return outcome
        finally:
            for followed in (self._resources, self._pods, self._log):
                if followed is not None:
                    followed.stop()

    def _look(self) -> Outcome | None:
        resources, pods = self._resources.look(), self._pods.look()
        if resources is None or pods is None:
            return None
        resource = next((one for one in resources.present if one["metadata"]["uid"] == self._uid), None)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            return Outcome("gone")
        self._note_standing(self._kind.standing(resource))
        pods = self._without_sent_back(pods_of_start(resource, pods))
        self._note_failures(pods.all)
        self._follow_log(pods.present)
        if self._standing.state in ("succeeded", "failed"):
            return self._end(pods)
        self._judge_start(pods.present)
        now = self._clock.now()
        if broken := self._broken(pods, now):
            return self._failed(broken, pods)
        self._limits.look(self._standing.state, state_since(self._standing.state, resource, pods.present, now), now)
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

    def _without_sent_back(self, pods: Seen) -> Seen:
        """Without the pods that a queue took away: no failure of what comes after, even if they still go by then.

        Those that are not going may be new, and the word that the queue has let them in still on its way.
        """
        if self._standing.state == "queued":
            metas = [pod["metadata"] for pod in pods.all]
            self._sent_back |= {meta["uid"] for meta in metas if "deletionTimestamp" in meta}
        return pods.without(self._sent_back)

    def _note_failures(self, pods: list[Object]) -> None:
        """Keep the first failure seen of each pod, in the order in which they came; times alone count whole seconds."""
        found = {pod["metadata"]["uid"]: failure for pod in pods if (failure := failure_of(pod))}
        self._failures = {uid: one for uid, one in self._failures.items() if uid in found}
        # Seen at once, and in the same second: operators delete the pods that are left when one has failed.
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
        seen = self._pods.look()
        return next((pod for pod in seen.present if pod["metadata"]["uid"] == uid), None) if seen else None

    def _end(self, pods: Seen) -> Outcome | None:
        settled = self._clock.now() - self._standing_since >= SETTLE_SECONDS
        if self._standing.state == "succeeded":
            if self._log is None and not settled:
                return None
            self._finish_log()
            return Outcome("succeeded")
        if not settled:
            return None
        return self._failed(first_failure(self._failures.values()), pods)

    def _failed(self, failure: PodFailure | None, pods: Seen) -> Outcome:
        self._finish_log()
        error = job_error(self._job, failure, self._standing, self._tail(failure, pods))
        return Outcome("lost" if failure and failure.lost else "failed", failure, error)

    def _broken(self, pods: Seen, now: float) -> PodFailure | None:
        """What has broken a job that its operator believes to be running; Ray goes on without a worker."""
        if self._standing.state != "running" or self._job.program == "ray":
            return None
        return self._lost_ranks.look(pods, self._failures, now)

    def _finish_log(self) -> None:
        if self._log is not None:
            self._log.finish()

    def _tail(self, failure: PodFailure | None, pods: Seen) -> list[str]:
        """The last lines of the pod that failed first, or of the main one where no pod did."""
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
        """Tell what keeps pods from starting. Raises OutOfPatience when it is certain, or lasts too long."""
        now = self._clock.now()
        alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        for words in self._troubles.look(alive, now):
            say("launch", words)
        self._tell_warnings(now)
        # Ray goes on without a worker that has no room.
        if self._standing.state == "running" and self._job.program == "ray":
            return
        if trouble := self._troubles.hopeless(alive, now):
            problem = f"job {self._job.name} cannot start: {trouble.words}"
            raise OutOfPatience(problem, rule=self._troubles.rule(trouble), remedy=trouble.remedy)
        starting = now - self._standing_since if self._standing.state == "starting" else 0.0
        if starting > self._job.launch.start_seconds and (not alive or self._warnings.last):
            self._give_up_starting()

    def _tell_warnings(self, now: float) -> None:
        late = self._standing.state == "starting" and now - self._standing_since > WARNINGS_AFTER_SECONDS
        if late and now - self._warned > WARNINGS_SECONDS:
            self._warned = now
            for words in self._warnings.look():
                say("launch", words)

    def _give_up_starting(self) -> None:
        words = self._warnings.last or operators_words(self._standing)
        advice = advise(self._warnings.last, self._cluster.namespace)
        raise OutOfPatience(
            f"job {self._job.name} did not start within {self._job.launch.start_seconds:.0f} s: {words}",
            rule="launch.start_seconds",
            remedy=advice.remedy
            if advice
            else "see whether the operator runs, and whether a quota or policy of the namespace refuses the pods",
        )


def pods_of_start(resource: Object, pods: Seen) -> Seen:
    """Only the pods of this start: those of an earlier one may still be on their way out.

    One of them may even be made after this resource: while a TrainJob is deleted, its operator makes the pods that went
    before it once more, and the garbage collector takes them at once.
    """
    made, number = moment(resource["metadata"]["creationTimestamp"]) or 0.0, attempt_of(resource)

    def ours(seen: list[Object]) -> list[Object]:
        late = [pod for pod in seen if (moment(pod["metadata"].get("creationTimestamp")) or 0.0) >= made]
        return [pod for pod in late if not annotation(pod, ATTEMPT_ANNOTATION) or attempt_of(pod) == number]

    return Seen(ours(pods.present), ours(pods.gone))
