"""The limits of a job's time: how long it may wait in a queue, and how long it may run, counted separately."""

from components.launch.api.clock import seconds_of
from components.launch.api.resources import Object
from components.launch.job import Launch
from components.launch.kinds.kind import State
from components.launch.verdicts.failure import conditions_of, container_statuses
from components.shared.errors import JobError

QUEUE_NEWS_SECONDS = 600.0


class JobAbandonedError(JobError):
    """A limit was exceeded, or the job can never start: it has not ended by itself and is to be deleted."""


class TimeLimits:
    """Counts the seconds that a job waits in the queue and that it runs, over all its attempts.

    For an adopted job the time before the adoption counts too, as far as its objects tell it.
    """

    def __init__(self, title: str, launch: Launch) -> None:
        self._title, self._launch = title, launch
        self._running = self._queued = 0.0
        self._state: State | None = None
        self._checked_at = 0.0
        self._said_at = float("-inf")

    def check(self, state: State, since: float, now: float) -> None:
        """Count the time until now for a state that has held since some time.

        Raises:
            JobAbandonedError: a limit is exceeded.
        """
        first = self._state is None
        passed = now - (since if first else self._checked_at)
        goes_on = first or state == self._state
        if state == "running" and goes_on:
            self._running += passed
        elif state == "queued":
            # A job that queues again after it has run begins a new wait.
            self._queued = self._queued + passed if goes_on else 0.0
        self._state, self._checked_at = state, now
        self._require()

    def queue_news(self, now: float) -> str:
        """What to log about the queue from time to time; empty otherwise."""
        if self._state != "queued" or now - self._said_at < QUEUE_NEWS_SECONDS:
            return ""
        self._said_at = now
        return f"{self._title}: waits in the queue for {self._queued:.0f} s of at most {self._launch.queue_seconds:.0f}"

    def _require(self) -> None:
        if self._state == "running" and self._running > self._launch.timeout_seconds:
            raise JobAbandonedError(
                f"{self._title} ran longer than {self._launch.timeout_seconds:.0f} s",
                rule="launch.timeout_seconds limits the running time",
                remedy="raise launch.timeout_seconds; running again continues from what is done",
            )
        if self._state == "queued" and self._queued > self._launch.queue_seconds:
            raise JobAbandonedError(
                f"{self._title} waited in the queue for longer than {self._launch.queue_seconds:.0f} s",
                rule="launch.queue_seconds limits the wait, apart from the running time",
                remedy="see what the queue admits (kubectl describe workloads), or raise launch.queue_seconds",
            )


def state_since(state: State, resource: Object, pods: list[Object], now: float) -> float:
    """Since when (s since the epoch) a resource has been in its state, by its own and its pods' status; else now."""
    if state == "running":
        starts = [_started(container) for pod in pods for container in container_statuses(pod)]
        return min((start for start in starts if start is not None), default=now)
    if state == "queued":
        suspended = conditions_of(resource).get("Suspended", {})
        since = suspended.get("lastTransitionTime") if suspended.get("status") == "True" else None
        return seconds_of(since or resource["metadata"].get("creationTimestamp")) or now
    return now


def _started(container: Object) -> float | None:
    state = container.get("state") or {}
    return seconds_of((state.get("running") or state.get("terminated") or {}).get("startedAt"))
