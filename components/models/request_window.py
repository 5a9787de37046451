"""A continuous window of requests over several endpoints.

The window never waits for a batch to end: whenever a request ends, the next one starts. Tries that failed wait for
their turn beside it and come back first. Requests that begin alike stay at one endpoint, where the prefix is cached;
an endpoint with nothing to do takes over what waits at another.

Everything here runs in the thread of one asyncio loop.
"""

import asyncio
import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from components.models.endpoint import Endpoint, Outcome, Sink, Ticket, Verdict
from components.models.teacher import Reply
from components.shared.errors import TeacherError, TutelageError
from components.shared.log import say
from components.shared.storable import storable

LONGEST_BACKOFF_SECONDS = 60.0
REMEMBERED_PREFIXES = 10_000
FLUSH_SECONDS = 0.02  # each hand-over wakes the caller's thread

Send = Callable[[Endpoint, Ticket], Awaitable[Outcome]]


@dataclass(frozen=True)
class Patience:
    """`attempts` tries of one request; `seconds` without any answer until the teacher counts as gone."""

    attempts: int
    backoff_seconds: float
    seconds: float


class RequestWindow:
    """Sends tickets to endpoints, again where a try failed, and their replies to the tickets' sinks.

    Args:
        endpoints: at least one.
        send: makes one try; it never raises for a failed try.
        patience: how often and how long to try.
    """

    def __init__(self, endpoints: Sequence[Endpoint], send: Send, patience: Patience) -> None:
        self.endpoints, self._send, self._patience = tuple(endpoints), send, patience
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[None], Ticket] = {}
        self._delayed: list[tuple[float, int, Ticket]] = []
        self._numbers = itertools.count()
        self._homes: OrderedDict[int, Endpoint] = OrderedDict()
        self._full_sinks: set[Sink] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._fatal: TutelageError | None = None
        self._outstanding = 0
        self._given_up = 0
        self._last_progress = self._loop.time()
        self._measured = self._loop.time()
        self.retries = 0
        self.busy_seconds = 0.0
        self.wall_seconds = 0.0

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Take tickets; those whose prompts begin alike should stand beside one another."""
        if self._fatal is not None:
            tickets[0].sink.fail(self._fatal)
            return
        if not self._outstanding:
            self._last_progress = self._loop.time()
        self.measure()
        self._outstanding += len(tickets)
        for ticket in tickets:
            self._home(ticket).queue.append(ticket)
        self._pump()

    def withdraw(self, sink: Sink) -> None:
        """Forget a sink's tickets and break off those in flight."""
        self.measure()
        for endpoint in self.endpoints:
            kept = [ticket for ticket in endpoint.queue if ticket.sink is not sink]
            self._outstanding -= len(endpoint.queue) - len(kept)
            endpoint.queue.clear()
            endpoint.queue.extend(kept)
        late = [item for item in self._delayed if item[2].sink is not sink]
        self._outstanding -= len(self._delayed) - len(late)
        self._delayed = late
        heapq.heapify(self._delayed)
        for task, ticket in self._tasks.items():
            if ticket.sink is sink:
                task.cancel()

    def measure(self) -> None:
        """Bring `busy_seconds` (over all requests in flight) and `wall_seconds` (with anything to do) up to now."""
        now = self._loop.time()
        if self._outstanding:
            self.wall_seconds += now - self._measured
            self.busy_seconds += (now - self._measured) * len(self._tasks)
        self._measured = now

    def _home(self, ticket: Ticket) -> Endpoint:
        """The endpoint that has this prefix cached, else the least loaded one."""
        home = self._homes.get(ticket.prefix)
        if home is None or home.unreachable:
            home = min(self.endpoints, key=lambda endpoint: (endpoint.unreachable > 0, endpoint.load))
            self._homes[ticket.prefix] = home
            if len(self._homes) > REMEMBERED_PREFIXES:
                self._homes.popitem(last=False)
        return home

    def _pump(self) -> None:
        """Start whatever may start now."""
        now = self._loop.time()
        self.measure()
        while self._delayed and self._delayed[0][0] <= now:
            self._retry(heapq.heappop(self._delayed)[2])
        for take in (self._own, self._stolen):
            for endpoint in self.endpoints:
                while endpoint.has_room(now) and (ticket := take(endpoint)) is not None:
                    self._start(endpoint, ticket)
        self._wake(now)

    def _retry(self, ticket: Ticket) -> None:
        """Queue a ticket first, at the endpoint that is likeliest to answer it soon."""
        now = self._loop.time()
        soonest = min(self.endpoints, key=lambda other: (other.unreachable, max(other.paused_until, now), other.load))
        soonest.queue.appendleft(ticket)

    @staticmethod
    def _own(endpoint: Endpoint) -> Ticket | None:
        return endpoint.queue.popleft() if endpoint.queue else None

    def _stolen(self, endpoint: Endpoint) -> Ticket | None:
        """A ticket from the end of the longest queue: what would have waited longest."""
        longest = max(self.endpoints, key=lambda other: len(other.queue))
        return longest.queue.pop() if longest is not endpoint and longest.queue else None

    def _start(self, endpoint: Endpoint, ticket: Ticket) -> None:
        endpoint.in_flight += 1
        task = self._loop.create_task(self._work(endpoint, ticket))
        self._tasks[task] = ticket

    async def _work(self, endpoint: Endpoint, ticket: Ticket | None) -> None:
        """Try tickets one after the other: going on in the same task saves a turn of the loop for each request."""
        task = asyncio.current_task()
        assert task is not None
        try:
            while ticket is not None:
                started = self._loop.time()
                outcome = await self._tried(endpoint, ticket)
                self.measure()
                endpoint.in_flight -= 1
                del self._tasks[task]
                self._settle(endpoint, ticket, outcome, started)
                ticket = self._own(endpoint) if endpoint.has_room(self._loop.time()) else None
                if ticket is not None:
                    endpoint.in_flight += 1
                    self._tasks[task] = ticket
                self._pump()
        except asyncio.CancelledError:  # withdrawn: its slot is free
            self.measure()
            endpoint.in_flight -= 1
            del self._tasks[task]
            self._outstanding -= 1
            self._loop.call_soon(self._pump)
            raise

    async def _tried(self, endpoint: Endpoint, ticket: Ticket) -> Outcome:
        try:
            return await self._send(endpoint, ticket)
        except Exception as error:  # noqa: BLE001 - a task's outermost frame: the caller's thread must hear of it
            problem = f"request to {endpoint.url} failed: {type(error).__name__}: {error}"
            return Outcome(Verdict.FATAL, error=TeacherError(problem, remedy="report this: it is a defect"))

    def _settle(self, endpoint: Endpoint, ticket: Ticket, outcome: Outcome, started: float) -> None:
        verdict = outcome.verdict
        if verdict is Verdict.ANSWERED:
            assert outcome.reply is not None
            endpoint.heard()
            endpoint.grow()
            self._given_up = 0
            self._deliver(ticket, outcome.reply)
        elif verdict is Verdict.REFUSED:
            endpoint.heard()
            self._deliver(ticket, outcome.failed or _failed(ticket, outcome.reason))
        elif verdict is Verdict.FATAL:
            assert outcome.error is not None
            self._fail(outcome.error, ticket)
        elif verdict is Verdict.BUSY:
            self._settle_busy(endpoint, ticket, outcome, started)
        elif verdict is Verdict.UNREACHABLE:
            self._settle_unreachable(endpoint, ticket, outcome)
        else:
            self._settle_broken(endpoint, ticket, outcome, started)

    def _settle_busy(self, endpoint: Endpoint, ticket: Ticket, outcome: Outcome, started: float) -> None:
        """A busy server costs a request none of its attempts, but not for ever."""
        now = self._loop.time()
        endpoint.heard()
        endpoint.shrink(started, now)
        if outcome.retry_after:
            endpoint.pause(outcome.retry_after, now)
        ticket.refusals += 1
        self._delay(ticket, ticket.refusals)
        if now - self._last_progress > max(self._patience.seconds, 2 * outcome.retry_after):
            self._fail(self._gone(outcome.reason), ticket)

    def _settle_unreachable(self, endpoint: Endpoint, ticket: Ticket, outcome: Outcome) -> None:
        """The endpoint rests; its request goes to another, or waits with it."""
        now = self._loop.time()
        if now >= endpoint.paused_until:
            endpoint.unreachable += 1
            endpoint.pause(self._backoff(endpoint.url, endpoint.unreachable), now)
            say("teacher", f"{outcome.reason}; next try in {endpoint.paused_until - now:.1f} s")
        self._retry(ticket)
        self.retries += 1
        tries = min(other.unreachable for other in self.endpoints)
        never = not any(other.answered for other in self.endpoints)
        if tries and (
            (never and tries >= self._patience.attempts) or now - self._last_progress > self._patience.seconds
        ):
            self._fail(self._gone(outcome.reason), ticket)

    def _settle_broken(self, endpoint: Endpoint, ticket: Ticket, outcome: Outcome, started: float) -> None:
        if outcome.verdict is Verdict.SLOW:
            endpoint.shrink(started, self._loop.time())
        if outcome.alive:
            endpoint.heard()
        ticket.attempts += 1
        if ticket.attempts < self._patience.attempts:
            self._delay(ticket, ticket.attempts)
            return
        self._given_up += 1
        # A whole window of requests in a row without an answer to any of them: it is not the requests.
        alive = self._given_up < sum(other.most for other in self.endpoints)
        if alive and any(other.answered for other in self.endpoints):
            self._deliver(ticket, _failed(ticket, f"{outcome.reason} ({ticket.attempts} attempts)"))
        else:
            self._fail(self._gone(outcome.reason), ticket)

    def _delay(self, ticket: Ticket, tries: int) -> None:
        self.retries += 1
        due = self._loop.time() + self._backoff(ticket.key, tries)
        heapq.heappush(self._delayed, (due, next(self._numbers), ticket))

    def _backoff(self, name: str, tries: int) -> float:
        """Doubling pauses with a jitter of a half, which depends on nothing but the name and the try."""
        full = min(LONGEST_BACKOFF_SECONDS, self._patience.backoff_seconds * 2 ** min(tries - 1, 30))
        return full * random.Random(f"{name}:{tries}").uniform(0.5, 1.0)

    def _deliver(self, ticket: Ticket, reply: Reply) -> None:
        self._last_progress = self._loop.time()
        self._outstanding -= 1
        ticket.sink.waiting.append(reply)
        if not self._full_sinks:
            self._loop.call_later(FLUSH_SECONDS, self._flush)
        self._full_sinks.add(ticket.sink)

    def _flush(self) -> None:
        sinks, self._full_sinks = self._full_sinks, set()
        for sink in sinks:
            sink.flush()

    def _fail(self, error: TutelageError, last: Ticket) -> None:
        """End everything: whoever waits gets the error."""
        self._fatal = error
        for sink in {last.sink, *(ticket.sink for ticket in self._everything())}:
            sink.fail(error)
            self.withdraw(sink)
        self._outstanding = len(self._tasks)  # each ends by its cancellation

    def _everything(self) -> Iterator[Ticket]:
        for endpoint in self.endpoints:
            yield from endpoint.queue
        yield from (ticket for _, _, ticket in self._delayed)
        yield from self._tasks.values()

    def _gone(self, reason: str) -> TeacherError:
        urls = ", ".join(endpoint.url for endpoint in self.endpoints)
        return TeacherError(
            f"no answer from {urls}: {reason}",
            rule=f"one answer at least within {self._patience.seconds:.0f} s",
            remedy="check that the server runs and has loaded its model, the URL, and the network between; "
            "then run again: finished answers are kept",
            temporary=True,
        )

    def _wake(self, now: float) -> None:
        """Come back when the next delayed ticket is due or the next pause ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        moments = [self._delayed[0][0]] if self._delayed else []
        moments += [endpoint.paused_until for endpoint in self.endpoints if endpoint.paused_until > now]
        if moments and self._outstanding:
            self._timer = self._loop.call_at(min(moments), self._pump)


def _failed(ticket: Ticket, reason: str) -> Reply:
    return Reply(key=ticket.key, text=storable(reason), finish="error")
