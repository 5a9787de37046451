"""What a step says while it works: plain lines, and progress events for whoever watches.

A line goes to stderr. A progress event goes, as one JSON line, to the file named by TUTELAGE_EVENTS (the
command line reads it and draws bars); without that variable a plain line is printed every few seconds.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

EVENTS_VARIABLE = "TUTELAGE_EVENTS"
PLAIN_SECONDS = 10.0
EVENT_SECONDS = 0.25

Item = TypeVar("Item")


def say(step: str, text: str) -> None:
    """Print one line of the step's log."""
    print(f"[{step}] {text}", file=sys.stderr, flush=True)


def emit(event: dict[str, object]) -> None:
    """Append one event to the events file, if there is one."""
    path = os.environ.get(EVENTS_VARIABLE)
    if not path:
        return
    line = json.dumps({"time": time.time(), **event}, ensure_ascii=False) + "\n"
    # One O_APPEND write of a short line is atomic, so many processes can share the file.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


class Progress:
    """Counts items of one activity and reports rate and time left.

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
        self._said = 0.0 if os.environ.get(EVENTS_VARIABLE) else self._began

    def advance(self, count: int = 1) -> None:
        """Count `count` more items and report now and then."""
        self.done += count
        now = time.monotonic()
        pause = EVENT_SECONDS if os.environ.get(EVENTS_VARIABLE) else PLAIN_SECONDS
        if now - self._said >= pause:
            self._said = now
            self._report()

    def finish(self) -> None:
        """Report the end."""
        self._report(ended=True)

    @property
    def rate(self) -> float:
        """Items per second since this process began."""
        return (self.done - self._already) / max(time.monotonic() - self._began, 1e-9)

    def _report(self, ended: bool = False) -> None:
        if os.environ.get(EVENTS_VARIABLE):
            emit(
                {
                    "kind": "progress",
                    "step": self.step,
                    "what": self.what,
                    "done": self.done,
                    "total": self.total,
                    "unit": self.unit,
                    "rate": round(self.rate, 3),
                    "ended": ended,
                }
            )
        else:
            of = f" of {self.total}" if self.total is not None else ""
            say(self.step, f"{self.what}: {self.done}{of} {self.unit}, {self.rate:.1f}/s")


def track(items: Iterable[Item], step: str, what: str, total: int | None = None, unit: str = "rows") -> Iterator[Item]:
    """Yield the items and report progress along the way."""
    progress = Progress(step, what, total, unit)
    for item in items:
        yield item
        progress.advance()
    progress.finish()
