"""One endpoint of a service: its queue, its window, which shrinks and grows, and its pauses.

Additive increase, multiplicative decrease (Chiu and Jain 1989; TCP's rule): an overloaded server halves the window;
each window of answers widens it again by a twentieth of its full width.
"""

import enum
import queue
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from components.shared.errors import TutelageError

Answer = TypeVar("Answer")

GROWTH_ROUNDS = 20  # windows of answers from zero to the full width


class TryStatus(enum.Enum):
    """How one attempt at a request ended."""

    ANSWERED = "answered"
    REFUSED = "refused"  # this request will never be answered; others may be
    BUSY = "busy"  # the server is up and asks for fewer requests: 429 and 503
    SLOW = "slow"  # timeout
    BROKEN = "broken"  # a server error, a connection reset, a response that is not valid
    UNREACHABLE = "unreachable"  # no connection
    FATAL = "fatal"  # no request will ever be answered: wrong key, wrong URL, no such model


@dataclass(slots=True)
class TryOutcome(Generic[Answer]):
    """The outcome of one attempt at a request.

    Attributes:
        status: how it ended.
        answer: for ANSWERED.
        reason: why it failed, for all others.
        retry_after: seconds that the server asks to wait, for BUSY.
        error: for FATAL.
        alive: although it failed, the response shows that the server runs the model.
        partial: for REFUSED, what is known of the answer nevertheless.
    """

    status: TryStatus
    answer: Answer | None = None
    reason: str = ""
    retry_after: float = 0.0
    error: TutelageError | None = None
    alive: bool = False
    partial: Answer | None = None


class Sink(Generic[Answer]):
    """A queue of answers: filled by the loop's thread, read by the caller's, several at a time."""

    def __init__(self) -> None:
        self.waiting: list[Answer] = []
        self._ready: queue.SimpleQueue[list[Answer] | TutelageError] = queue.SimpleQueue()

    def flush(self) -> None:
        """Pass what is waiting to the reader."""
        answers, self.waiting = self.waiting, []
        self._ready.put(answers)

    def fail(self, error: TutelageError) -> None:
        """Raise an error in the reader, after the answers that came before."""
        self.flush()
        self._ready.put(error)

    def get(self) -> list[Answer]:
        """Wait for answers. Raises the error that `fail` was given."""
        item = self._ready.get()
        if isinstance(item, TutelageError):
            raise item
        return item


@dataclass(slots=True, eq=False)
class Ticket(Generic[Answer]):
    """One request in progress. `prefix` is the hash of how its prompt starts; `attempts` and `refusals` count."""

    key: str
    body: bytes
    prefix: int
    sink: Sink[Answer]
    attempts: int = 0
    refusals: int = 0


@dataclass(slots=True, eq=False)
class Endpoint(Generic[Answer]):
    """One base URL. `most` is its full window, in requests; times are read from the loop's clock, in seconds."""

    url: str
    most: int
    limit: float = 0.0
    in_flight: int = 0
    paused_until: float = 0.0
    unreachable: int = 0
    answered: bool = False
    queue: deque[Ticket[Answer]] = field(default_factory=deque)
    shrunk_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    def has_room(self, now: float) -> bool:
        """Whether one more request may be sent. An endpoint that was unreachable gets a single request first."""
        width = 1 if self.unreachable else int(self.limit)
        return self.in_flight < width and now >= self.paused_until

    @property
    def load(self) -> float:
        """Requests in flight and queued, in windows."""
        return (len(self.queue) + self.in_flight) / self.limit

    def shrink(self, sent_at: float, now: float) -> None:
        """Halve the window; requests sent before the last halving don't halve it again."""
        if sent_at >= self.shrunk_at:
            self.limit = max(1.0, self.limit / 2)
            self.shrunk_at = now

    def grow(self) -> None:
        """Widen the window by the share of one answer."""
        self.limit = min(float(self.most), self.limit + max(1.0, self.most / GROWTH_ROUNDS) / self.limit)

    def pause(self, seconds: float, now: float) -> None:
        """Send nothing for some seconds."""
        self.paused_until = max(self.paused_until, now + seconds)

    def responded(self) -> None:
        """Record that the endpoint responded."""
        self.unreachable = 0
        self.answered = True
