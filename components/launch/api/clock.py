"""Time: the clock of the launchers, which tests replace with a faster one, and the timestamps of the Kubernetes API."""

import threading
import time
from datetime import UTC, datetime


class Clock:
    """The machine's own time. Safe to use from many threads."""

    def now(self) -> float:
        """Seconds since the epoch, as the API server's timestamps count them."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, for at most `seconds`; whether it came."""
        return event.wait(seconds)


def seconds_of(timestamp: str | None) -> float | None:
    """Seconds since the epoch of a timestamp in RFC 3339; None for none. Nanoseconds are truncated to microseconds."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else None


def timestamp_of(seconds: float) -> str:
    """The timestamp of a time in seconds since the epoch, in whole seconds, as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
