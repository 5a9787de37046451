"""The log of a step: plain lines, and progress events for the command line.

A line goes to stderr. A progress event goes, as one JSON line, to the file named by TUTELAGE_EVENTS (the
command line reads it and draws bars); without that variable a plain line is printed every few seconds.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from components.shared.progress_event import ProgressEvent
from components.shared.storable import storable

EVENTS_VARIABLE = "TUTELAGE_EVENTS"
EVENTS_IN_LOG = "log"
"""Instead of a file: events go to stderr, one JSON object on each line. A job on a cluster has no file to share with
its step, which reads the job's log."""
PLAIN_SECONDS = 10.0
EVENT_SECONDS = 0.25
STEADY_SECONDS = 20.0
STEADY_ADVANCES = 3

Item = TypeVar("Item")


def say(step: str, text: str) -> None:
    """Print one line of the step's log."""
    print(f"[{step}] {storable(text)}", file=sys.stderr, flush=True)


def emit(event: dict[str, object]) -> None:
    """Append an event to the events file, if the variable names one."""
    path = os.environ.get(EVENTS_VARIABLE)
    if not path:
        return
    line = storable(json.dumps({"time": time.time(), **event}, ensure_ascii=False)) + "\n"
    if path == EVENTS_IN_LOG:
        print(line, end="", file=sys.stderr, flush=True)
        return
    # One O_APPEND write of a short line is atomic, so many processes can share the file.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


class Progress:
    """Counts items of one activity and reports rate and time left.

    The first report announces the activity. The time left is estimated only once the rate is steady: the first batch is
    slow (a model loads, a window fills), so the rate is measured from its end, over at least STEADY_SECONDS and
    STEADY_ADVANCES. Nothing is reported while nothing changes.

    Args:
        step: name of the step, such as `curate`.
        what: the activity, such as `near-duplicates`.
        total: items expected, or None when unknown.
        unit: what is counted, in the plural.
        already: items done before this process began (a resumed step); they do not count in the rate.
    """

    def __init__(self, step: str, what: str, total: int | None, unit: str = "rows", already: int = 0) -> None:
        self.step, self.what, self.total, self.unit = step, what, total, unit
        self.done = already
        self._already = already
        self._began = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._advances = 0
        self._ended = False
        self._said = self._began
        if os.environ.get(EVENTS_VARIABLE):
            self._report()

    def advance(self, count: int = 1) -> None:
        """Count `count` more items; report at intervals."""
        self.done += count
        self._advances += 1
        now = time.monotonic()
        if self._first is None:
            self._first = (now, self.done)
        pause = EVENT_SECONDS if os.environ.get(EVENTS_VARIABLE, EVENTS_IN_LOG) != EVENTS_IN_LOG else PLAIN_SECONDS
        if now - self._said >= pause:
            self._said = now
            self._report()

    def finish(self) -> None:
        """Report the end, once."""
        if not self._ended:
            self._ended = True
            self._report(ended=True)

    @property
    def complete(self) -> bool:
        """Whether all expected items are done."""
        return self.total is not None and self.done >= self.total

    @property
    def rate(self) -> float:
        """Items per second since this process began."""
        return (self.done - self._already) / max(time.monotonic() - self._began, 1e-9)

    @property
    def left(self) -> float | None:
        """Seconds until all is done, or None: nothing is left, the total is unknown, or there is no steady rate yet."""
        if self.total is None or self.done >= self.total or self._first is None:
            return None
        began, before = self._first
        seconds = time.monotonic() - began
        steady = seconds >= STEADY_SECONDS and self._advances > STEADY_ADVANCES and self.done > before
        return (self.total - self.done) * seconds / (self.done - before) if steady else None

    def _report(self, ended: bool = False) -> None:
        left = self.left
        event = ProgressEvent(
            step=self.step,
            what=self.what,
            done=self.done,
            total=self.total,
            unit=self.unit,
            rate=round(self.rate, 3),
            left=None if left is None else round(left, 1),
            ended=ended,
        )
        if os.environ.get(EVENTS_VARIABLE):
            emit(event.model_dump())
        else:
            say(self.step, event.text)


def track(items: Iterable[Item], step: str, what: str, total: int | None = None, unit: str = "rows") -> Iterator[Item]:
    """Yield the items and report progress along the way."""
    progress = Progress(step, what, total, unit)
    for item in items:
        yield item
        progress.advance()
    progress.finish()
