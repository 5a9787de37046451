"""Relays the log of a job's main pod, line by line as it comes; its progress becomes events again."""

import collections
import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable
from datetime import datetime

from components.launch.api.clock import Clock, timestamp_of
from components.launch.api.cluster import Cluster
from components.launch.api.refusals import Absent, NotReady, Unreachable
from components.launch.api.resources import Object
from components.launch.job import TAIL_LINES
from components.launch.verdicts.failure import container_statuses, main_container
from components.shared.log import EVENTS_VARIABLE, emit
from components.shared.progress_event import parse_progress

PAUSE_SECONDS = 1.0
LAST_LINES_SECONDS = 10.0
STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")


class PodLog:
    """The log of one pod, read by a thread until the pod has ended and all is read, or until `stop`.

    After a broken connection, the log is requested from the time of the last line on, and repeated lines are skipped.

    Args:
        pod: the pod.
        find: returns the current pod; None when it is gone.
    """

    def __init__(self, cluster: Cluster, pod: Object, find: Callable[[], Object | None], clock: Clock) -> None:
        self.pod: str = pod["metadata"]["name"]
        self.uid: str = pod["metadata"]["uid"]
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._container, self._find = main_container(pod), find
        self._cluster, self._clock = cluster, clock
        self._last: tuple[int, str] | None = None
        self._count = 0
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"log {self.pod}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise the error that ended the reading early, such as a missing right."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait for the last lines: 10 s for those of a pod that has ended, 1 s for one that still runs."""
        self._thread.join(LAST_LINES_SECONDS if has_ended(self._find(), self._container) else PAUSE_SECONDS)
        self.stop()

    def stop(self) -> None:
        """Stop reading."""
        self._stopped.set()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                ended = has_ended(self._find(), self._container)
                if self._read_on() and ended:
                    return
                self._clock.wait(self._stopped, PAUSE_SECONDS)
        except Absent:
            return
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self._error = error

    def _read_on(self) -> bool:
        """Relay what came after the last line; whether the stream was read to its end."""
        try:
            # sinceTime has whole seconds: the lines of that second that were read come again.
            since = timestamp_of(self._last[0]) if self._last else ""
            with self._cluster.follow_log(self.pod, self._container, since) as lines:
                again = self._count
                for line in lines:
                    if self._stopped.is_set():
                        return True
                    again = self._take(line.decode(errors="replace"), again)
        except (NotReady, Unreachable):
            return False
        return True

    def _take(self, line: str, again: int) -> int:
        """Relay a line unless it was relayed before; `again` lines with the last timestamp are still to be skipped."""
        stamp, _, text = line.partition(" ")
        time = line_time(stamp)
        if time is None or (self._last is not None and time < self._last):
            return again
        if time == self._last and again:
            return again - 1
        if not line.endswith("\n") and not has_ended(self._find(), self._container):
            # The connection broke within the line: it comes complete with the next request.
            return again
        self._count = self._count + 1 if time == self._last else 1
        self._last = time
        self._relay(text.rstrip("\n"))
        return 0

    def _relay(self, text: str) -> None:
        event = parse_progress(text)
        if event is not None and os.environ.get(EVENTS_VARIABLE):
            emit(event.model_dump())
        shown = f"[{event.step}] {event.text}" if event else text
        self.tail.append(shown.rstrip())
        # The reader of the step's log may be gone before the job ends.
        with contextlib.suppress(OSError):
            print(shown, file=sys.stderr, flush=True)


def line_time(stamp: str) -> tuple[int, str] | None:
    """The timestamp of a line: seconds since the epoch, and nine digits of their fraction; None for any other text.

    The kubelet writes nanoseconds, in its own time zone.
    """
    parts = STAMP.fullmatch(stamp)
    if parts is None:
        return None
    return int(datetime.fromisoformat(parts[1] + parts[3]).timestamp()), (parts[2] or "").ljust(9, "0")


def has_ended(pod: Object | None, container: str) -> bool:
    """Whether a container's log is complete."""
    if pod is None or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return True
    statuses = [one for one in container_statuses(pod) if one["name"] == container]
    return any("terminated" in (one.get("state") or {}) for one in statuses)


def has_begun(pod: Object) -> bool:
    """Whether a pod's log can be read."""
    container = main_container(pod)
    states = [one.get("state") or {} for one in container_statuses(pod) if one["name"] == container]
    return any("running" in state or "terminated" in state for state in states)
