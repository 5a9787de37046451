"""The time, and how it is waited for; tests put a faster one in its place."""

import threading
import time


class Clock:
    """The machine's own time. Safe to use from many threads."""

    def now(self) -> float:
        """Seconds since the epoch, as the API server's timestamps count them."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, at most some seconds; whether it came."""
        return event.wait(seconds)
