"""A continuous window of requests over several endpoints.

The window never waits for a batch to end: whenever a request ends, the next one starts. Failed requests are delayed,
then go first. Requests with a common prefix stay at one endpoint, which caches the prefix; an idle endpoint takes
requests that are queued at another.

Everything here runs in the thread of one asyncio loop.
"""

import asyncio
import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic

from components.models.service.endpoint import Answer, Endpoint, Sink, Ticket, TryOutcome, TryStatus
from components.models.service.service import Service
from components.models.service.settings import ServiceSettings
from components.shared.errors import TutelageError
from components.shared.log import say
from components.shared.text.counted import counted

LONGEST_BACKOFF_SECONDS = 60.0
REMEMBERED_PREFIXES = 10_000
FLUSH_SECONDS = 0.02  # each flush wakes the caller's thread


class RequestWindow(Generic[Answer]):
    """Sends tickets to endpoints, repeats failed attempts, and passes answers to the tickets' sinks.

    Args:
        endpoints: at least one.
        send: makes one attempt; it must not raise for a failed one.
        settings: how many attempts, and how long without any answer until the service counts as gone.
        service: what is asked.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint[Answer]],
        send: Callable[[Endpoint[Answer], Ticket[Answer]], Awaitable[TryOutcome[Answer]]],
        settings: ServiceSettings,
        service: Service[Answer],
    ) -> None:
        self.endpoints, self._send = tuple(endpoints), send
        self._settings, self._service = settings, service
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[None], Ticket[Answer]] = {}
        self._delayed: list[tuple[float, int, Ticket[Answer]]] = []
        self._numbers = itertools.count()
        self._homes: OrderedDict[int, Endpoint[Answer]] = OrderedDict()
        self._full_sinks: set[Sink[Answer]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._fatal: TutelageError | None = None
        self._outstanding = 0
        self._given_up = 0
        self._last_progress = self._loop.time()
        self._measured = self._loop.time()
        self.retries = 0
        self.busy_seconds = 0.0
        self.wall_seconds = 0.0

    def submit(self, tickets: Sequence[Ticket[Answer]]) -> None:
        """Queue tickets; those with a common prefix should be next to each other."""
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

    def withdraw(self, sink: Sink[Answer]) -> None:
        """Drop a sink's tickets, and cancel those in flight."""
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
        """Update `busy_seconds` (summed over the requests in flight) and `wall_seconds` (with anything to do)."""
        now = self._loop.time()
        if self._outstanding:
            self.wall_seconds += now - self._measured
            self.busy_seconds += (now - self._measured) * len(self._tasks)
        self._measured = now

    def _home(self, ticket: Ticket[Answer]) -> Endpoint[Answer]:
        """The endpoint that has this prefix cached, or the least loaded one."""
        home = self._homes.get(ticket.prefix)
        if home is None or home.unreachable:
            home = min(self.endpoints, key=lambda endpoint: (endpoint.unreachable > 0, endpoint.load))
            self._homes[ticket.prefix] = home
            if len(self._homes) > REMEMBERED_PREFIXES:
                self._homes.popitem(last=False)
        return home

    def _pump(self) -> None:
        """Start every request that may start now."""
        now = self._loop.time()
        self.measure()
        while self._delayed and self._delayed[0][0] <= now:
            self._retry(heapq.heappop(self._delayed)[2])
        for take in (self._own, self._stolen):
            for endpoint in self.endpoints:
                while endpoint.has_room(now) and (ticket := take(endpoint)) is not None:
                    self._start(endpoint, ticket)
        self._wake(now)

    def _retry(self, ticket: Ticket[Answer]) -> None:
        """Queue a ticket first, at the endpoint that is likely to answer it soonest."""
        now = self._loop.time()
        soonest = min(self.endpoints, key=lambda other: (other.unreachable, max(other.paused_until, now), other.load))
        soonest.queue.appendleft(ticket)

    @staticmethod
    def _own(endpoint: Endpoint[Answer]) -> Ticket[Answer] | None:
        return endpoint.queue.popleft() if endpoint.queue else None

    def _stolen(self, endpoint: Endpoint[Answer]) -> Ticket[Answer] | None:
        """A ticket from the end of the longest queue: the one that would have waited longest."""
        longest = max(self.endpoints, key=lambda other: len(other.queue))
        return longest.queue.pop() if longest is not endpoint and longest.queue else None

    def _start(self, endpoint: Endpoint[Answer], ticket: Ticket[Answer]) -> None:
        endpoint.in_flight += 1
        task = self._loop.create_task(self._work(endpoint, ticket))
        self._tasks[task] = ticket

    async def _work(self, endpoint: Endpoint[Answer], ticket: Ticket[Answer] | None) -> None:
        """Send tickets one after the other: staying in one task saves an iteration of the loop for each request."""
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

    async def _tried(self, endpoint: Endpoint[Answer], ticket: Ticket[Answer]) -> TryOutcome[Answer]:
        try:
            return await self._send(endpoint, ticket)
        except Exception as error:  # noqa: BLE001 - a task's outermost frame: the caller's thread must get the error
            problem = f"request to {endpoint.url} failed: {type(error).__name__}: {error}"
            return TryOutcome(TryStatus.FATAL, error=self._service.error(problem, remedy="report this: it is a bug"))

    def _settle(
        self, endpoint: Endpoint[Answer], ticket: Ticket[Answer], outcome: TryOutcome[Answer], started: float
    ) -> None:
        status = outcome.status
        if status is TryStatus.ANSWERED:
            assert outcome.answer is not None
            endpoint.responded()
            endpoint.grow()
            self._given_up = 0
            self._deliver(ticket, outcome.answer)
        elif status is TryStatus.REFUSED:
            endpoint.responded()
            self._deliver(ticket, self._service.failed(ticket.key, outcome.reason, outcome.partial))
        elif status is TryStatus.FATAL:
            assert outcome.error is not None
            self._fail(outcome.error, ticket)
        elif status is TryStatus.BUSY:
            self._settle_busy(endpoint, ticket, outcome, started)
        elif status is TryStatus.UNREACHABLE:
            self._settle_unreachable(endpoint, ticket, outcome)
        else:
            self._settle_broken(endpoint, ticket, outcome, started)

    def _settle_busy(
        self, endpoint: Endpoint[Answer], ticket: Ticket[Answer], outcome: TryOutcome[Answer], started: float
    ) -> None:
        """A busy server does not use up a request's attempts, but the service must make progress."""
        now = self._loop.time()
        endpoint.responded()
        endpoint.shrink(started, now)
        if outcome.retry_after:
            endpoint.pause(outcome.retry_after, now)
        ticket.refusals += 1
        self._delay(ticket, ticket.refusals)
        if now - self._last_progress > max(self._settings.timeout_seconds, 2 * outcome.retry_after):
            self._fail(self._gone(outcome.reason), ticket)

    def _settle_unreachable(
        self, endpoint: Endpoint[Answer], ticket: Ticket[Answer], outcome: TryOutcome[Answer]
    ) -> None:
        """Pause the endpoint; its request goes to another one, or waits."""
        now = self._loop.time()
        if now >= endpoint.paused_until:
            endpoint.unreachable += 1
            endpoint.pause(self._backoff(endpoint.url, endpoint.unreachable), now)
            say(self._service.name, f"{outcome.reason}; next attempt in {endpoint.paused_until - now:.1f} s")
        self._retry(ticket)
        self.retries += 1
        tries = min(other.unreachable for other in self.endpoints)
        never = not any(other.answered for other in self.endpoints)
        if tries and (
            (never and tries >= self._settings.attempts) or now - self._last_progress > self._settings.timeout_seconds
        ):
            self._fail(self._gone(outcome.reason), ticket)

    def _settle_broken(
        self, endpoint: Endpoint[Answer], ticket: Ticket[Answer], outcome: TryOutcome[Answer], started: float
    ) -> None:
        if outcome.status is TryStatus.SLOW:
            endpoint.shrink(started, self._loop.time())
        if outcome.alive:
            endpoint.responded()
        ticket.attempts += 1
        if ticket.attempts < self._settings.attempts:
            self._delay(ticket, ticket.attempts)
            return
        self._given_up += 1
        # A full window of failed requests in a row: the cause is the service, not the requests.
        alive = self._given_up < sum(other.most for other in self.endpoints)
        if alive and any(other.answered for other in self.endpoints):
            reason = f"{outcome.reason} ({counted(ticket.attempts, 'attempt')})"
            self._deliver(ticket, self._service.failed(ticket.key, reason, None))
        else:
            self._fail(self._gone(outcome.reason), ticket)

    def _delay(self, ticket: Ticket[Answer], tries: int) -> None:
        self.retries += 1
        due = self._loop.time() + self._backoff(ticket.key, tries)
        heapq.heappush(self._delayed, (due, next(self._numbers), ticket))

    def _backoff(self, name: str, tries: int) -> float:
        """Exponential backoff with up to 50 % jitter, which depends only on the name and the attempt."""
        full = min(LONGEST_BACKOFF_SECONDS, self._settings.backoff_seconds * 2 ** min(tries - 1, 30))
        return full * random.Random(f"{name}:{tries}").uniform(0.5, 1.0)

    def _deliver(self, ticket: Ticket[Answer], answer: Answer) -> None:
        self._last_progress = self._loop.time()
        self._outstanding -= 1
        ticket.sink.waiting.append(answer)
        if not self._full_sinks:
            self._loop.call_later(FLUSH_SECONDS, self._flush)
        self._full_sinks.add(ticket.sink)

    def _flush(self) -> None:
        sinks, self._full_sinks = self._full_sinks, set()
        for sink in sinks:
            sink.flush()

    def _fail(self, error: TutelageError, last: Ticket[Answer]) -> None:
        """End everything: all callers get the error."""
        self._fatal = error
        for sink in {last.sink, *(ticket.sink for ticket in self._everything())}:
            sink.fail(error)
            self.withdraw(sink)
        self._outstanding = len(self._tasks)  # each ends by its cancellation

    def _everything(self) -> Iterator[Ticket[Answer]]:
        for endpoint in self.endpoints:
            yield from endpoint.queue
        yield from (ticket for _, _, ticket in self._delayed)
        yield from self._tasks.values()

    def _gone(self, reason: str) -> TutelageError:
        urls = ", ".join(endpoint.url for endpoint in self.endpoints)
        return self._service.error(
            f"no answer from {urls}: {reason}",
            rule=f"at least one answer within {self._settings.timeout_seconds:.0f} s",
            remedy="check that the server is up and has loaded its model, the URL, and the network; "
            "then run again: finished answers are kept",
            temporary=True,
        )

    def _wake(self, now: float) -> None:
        """Set the timer for the next delayed ticket, or the end of the next pause."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        moments = [self._delayed[0][0]] if self._delayed else []
        moments += [endpoint.paused_until for endpoint in self.endpoints if endpoint.paused_until > now]
        if moments and self._outstanding:
            self._timer = self._loop.call_at(min(moments), self._pump)
