"""One endpoint as the request window sees it: a queue, a window that shrinks and grows again, and pauses.

Additive increase, multiplicative decrease (Chiu and Jain 1989; TCP's rule): an overloaded server halves the window,
answers widen it again by a twentieth of its full width for each window of answers.
"""

import enum
import queue
from collections import deque
from dataclasses import dataclass, field

from components.models.teacher import Reply
from components.shared.errors import TutelageError

GROWTH_ROUNDS = 20  # windows of answers from nothing to the full width


class Verdict(enum.Enum):
    """How a try ended."""

    ANSWERED = "answered"
    REFUSED = "refused"  # this request will never be answered; others may
    BUSY = "busy"  # the server is alive and wants fewer requests: 429 and 503
    SLOW = "slow"  # no answer in time
    BROKEN = "broken"  # a server error, a cut connection, an answer that is none
    UNREACHABLE = "unreachable"  # no connection
    FATAL = "fatal"  # no request will ever be answered: wrong key, wrong address, no such model


@dataclass(slots=True)
class Outcome:
    """What came of one try; `reply` for ANSWERED, `error` for FATAL, else `reason`.

    `alive`: a try that failed shows all the same that the server runs the model.
    `failed`: the reply to a request that is REFUSED, where more than the reason is known of it.
    """

    verdict: Verdict
    reply: Reply | None = None
    reason: str = ""
    retry_after: float = 0.0
    error: TutelageError | None = None
    alive: bool = False
    failed: Reply | None = None


class Sink:
    """Where replies go: filled in the loop's thread, read in the caller's, several at a time."""

    def __init__(self) -> None:
        self.waiting: list[Reply] = []
        self._ready: queue.SimpleQueue[list[Reply] | TutelageError] = queue.SimpleQueue()

    def flush(self) -> None:
        """Hand what waits to the reader."""
        replies, self.waiting = self.waiting, []
        self._ready.put(replies)

    def fail(self, error: TutelageError) -> None:
        """End the reader's wait with an error, after what was answered before."""
        self.flush()
        self._ready.put(error)

    def get(self) -> list[Reply]:
        """Wait for replies. Raises the error that ended them."""
        item = self._ready.get()
        if isinstance(item, TutelageError):
            raise item
        return item


@dataclass(slots=True, eq=False)
class Ticket:
    """One request on its way: its body, its prefix (equal for prompts that begin alike), and its tries so far."""

    key: str
    body: bytes
    prefix: int
    sink: Sink
    attempts: int = 0
    refusals: int = 0


@dataclass(slots=True, eq=False)
class Endpoint:
    """One base URL. `most` is its full window, in requests; times are those of the loop's clock."""

    url: str
    most: int
    limit: float = 0.0
    in_flight: int = 0
    paused_until: float = 0.0
    unreachable: int = 0
    answered: bool = False
    queue: deque[Ticket] = field(default_factory=deque)
    shrunk_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    def has_room(self, now: float) -> bool:
        """Whether one more request may go out. An endpoint that was unreachable is tried with one request first."""
        width = 1 if self.unreachable else int(self.limit)
        return self.in_flight < width and now >= self.paused_until

    @property
    def load(self) -> float:
        """Requests that it has or waits for, in windows."""
        return (len(self.queue) + self.in_flight) / self.limit

    def shrink(self, sent_at: float, now: float) -> None:
        """Halve the window, once for all requests that were sent before the last halving."""
        if sent_at >= self.shrunk_at:
            self.limit = max(1.0, self.limit / 2)
            self.shrunk_at = now

    def grow(self) -> None:
        """Widen the window by one answer's worth."""
        self.limit = min(float(self.most), self.limit + max(1.0, self.most / GROWTH_ROUNDS) / self.limit)

    def pause(self, seconds: float, now: float) -> None:
        """Send nothing for so long."""
        self.paused_until = max(self.paused_until, now + seconds)

    def heard(self) -> None:
        """It gave a sign of life."""
        self.unreachable = 0
        self.answered = True
