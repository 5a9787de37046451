"""The limits of a job's time: how long it may wait in a queue, and how long it may run, each counted for itself."""

from components.launch.failure import conditions_of, container_statuses
from components.launch.job import Launch
from components.launch.kind import Object, State
from components.launch.moments import moment
from components.shared.errors import JobError

QUEUE_NEWS_SECONDS = 600.0


class OutOfPatience(JobError):  # noqa: N818 - named for what it says
    """A limit of time, or a trouble that does not pass: the job has not ended by itself and is to be deleted."""


class Limits:
    """Counts a job's seconds in the queue and at work, over all its attempts.

    The time of a job that was adopted while it ran or waited counts, as far as its objects tell it.
    """

    def __init__(self, title: str, launch: Launch) -> None:
        self._title, self._launch = title, launch
        self._running = self._queued = 0.0
        self._state: State | None = None
        self._looked = 0.0
        self._told = float("-inf")

    def look(self, state: State, since: float, now: float) -> None:
        """Take a state in, which has held since some time. Raises OutOfPatience when a limit is passed."""
        passed = now - (since if self._state is None else self._looked)
        if state == "running":
            self._running += passed if self._state in (None, "running") else 0.0
        elif state == "queued":
            # A new wait begins: what it waited before it ran is past.
            self._queued = passed if self._state is None else self._queued + passed if self._state == state else 0.0
        self._state, self._looked = state, now
        self._require()

    def queue_news(self, now: float) -> str:
        """What to tell of the queue now and then; empty otherwise."""
        if self._state != "queued" or now - self._told < QUEUE_NEWS_SECONDS:
            return ""
        self._told = now
        return f"{self._title}: waits in the queue for {self._queued:.0f} s of at most {self._launch.queue_seconds:.0f}"

    def _require(self) -> None:
        if self._state == "running" and self._running > self._launch.timeout_seconds:
            raise OutOfPatience(
                f"{self._title} ran past its {self._launch.timeout_seconds:.0f} s",
                remedy="raise launch.timeout_seconds; running again continues from what is done",
            )
        if self._state == "queued" and self._queued > self._launch.queue_seconds:
            raise OutOfPatience(
                f"{self._title} waited in the queue past its {self._launch.queue_seconds:.0f} s",
                rule="a job's wait and its running time have limits of their own",
                remedy="see what the queue gives (kubectl describe workloads), or raise launch.queue_seconds",
            )


def state_since(state: State, resource: Object, pods: list[Object], now: float) -> float:
    """Since when a resource is in its state, as far as it and its pods tell; else now."""
    if state == "running":
        starts = [_started(container) for pod in pods for container in container_statuses(pod)]
        return min((start for start in starts if start is not None), default=now)
    if state == "queued":
        suspended = conditions_of(resource).get("Suspended", {})
        told = suspended.get("lastTransitionTime") if suspended.get("status") == "True" else None
        return moment(told or resource["metadata"].get("creationTimestamp")) or now
    return now


def _started(container: Object) -> float | None:
    state = container.get("state") or {}
    return moment((state.get("running") or state.get("terminated") or {}).get("startedAt"))
