"""Passes on the log of a job's main pod, line by line as it comes, from one attempt's pod to the next's."""

import collections
import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable
from datetime import datetime

from components.launch.clock import Clock
from components.launch.cluster import Cluster
from components.launch.failure import container_statuses, main_container
from components.launch.kind import Object
from components.launch.local import TAIL_LINES
from components.launch.moments import written
from components.launch.refusals import Absent, NotReady, Unreachable
from components.shared.log import EVENTS_VARIABLE, emit

PAUSE_SECONDS = 1.0
LAST_LINES_SECONDS = 10.0
STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
PROGRESS = re.compile(
    r"^\[(?P<step>[^\]]+)\] (?P<what>.+): (?P<done>\d+)(?: of (?P<total>\d+))? (?P<unit>\w+), (?P<rate>[\d.]+)/s$"
)
"""A line of progress, as `components.shared.log.Progress` prints it where there is no file for events."""


class PodLog:
    """The log of one pod, read by a thread until the pod has ended and all is read, or until `stop`.

    A connection that was cut is made again from the time of the last line, whose repetition is left out.

    Args:
        pod: the pod.
        find: the pod as it is now; None when it is gone.
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
        """Raise what ended the reading early: a missing right."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait for the last lines of a pod that has ended, for a while; hardly for one that runs on."""
        self._thread.join(LAST_LINES_SECONDS if has_ended(self._find(), self._container) else PAUSE_SECONDS)
        self.stop()

    def stop(self) -> None:
        """Read no further."""
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
        """Pass on what came after the last line; whether the log was read to an end."""
        try:
            # The API knows whole seconds only: what was read of that second comes again.
            since = written(self._last[0]) if self._last else ""
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
        """Pass a line on unless it was before; `again` lines of the last time are still to be left out."""
        stamp, _, text = line.partition(" ")
        time = line_time(stamp)
        if time is None or (self._last is not None and time < self._last):
            return again
        if time == self._last and again:
            return again - 1
        if not line.endswith("\n") and not has_ended(self._find(), self._container):
            # Cut within the line: it comes whole when it is asked for again.
            return again
        self._count = self._count + 1 if time == self._last else 1
        self._last = time
        self._pass_on(text.rstrip("\n"))
        return 0

    def _pass_on(self, text: str) -> None:
        self.tail.append(text.rstrip())
        tell_progress(text)
        # Who reads the step's log may be gone before the job is.
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def line_time(stamp: str) -> tuple[int, str] | None:
    """The time before a line: seconds since the epoch, and nine digits of their fraction; None where there is none.

    The kubelet writes nanoseconds, in its own time zone.
    """
    parts = STAMP.fullmatch(stamp)
    if parts is None:
        return None
    return int(datetime.fromisoformat(parts[1] + parts[3]).timestamp()), (parts[2] or "").ljust(9, "0")


def has_ended(pod: Object | None, container: str) -> bool:
    """Whether nothing more comes into a container's log."""
    if pod is None or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return True
    statuses = [one for one in container_statuses(pod) if one["name"] == container]
    return any("terminated" in (one.get("state") or {}) for one in statuses)


def has_begun(pod: Object) -> bool:
    """Whether a pod's log can be read."""
    container = main_container(pod)
    states = [one.get("state") or {} for one in container_statuses(pod) if one["name"] == container]
    return any("running" in state or "terminated" in state for state in states)


def tell_progress(line: str) -> None:
    """Make an event of a line of progress, where somebody on this machine watches the events."""
    found = PROGRESS.match(line) if os.environ.get(EVENTS_VARIABLE) else None
    if found is None:
        return
    done, total = int(found["done"]), int(found["total"]) if found["total"] else None
    facts = {"step": found["step"], "what": found["what"], "unit": found["unit"], "rate": float(found["rate"])}
    emit({"kind": "progress", **facts, "done": done, "total": total, "ended": total is not None and done >= total})
