"""The window's rules, with attempts that are scripted instead of sent."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from components.models.generators.generator import Reply
from components.models.generators.openai.generator import ChatCompletions
from components.models.service.endpoint import Endpoint, Sink, Ticket, TryOutcome, TryStatus
from components.models.service.request_window import RequestWindow
from components.models.service.settings import ServiceSettings
from components.shared.errors import GenerationError

LIMITS = ServiceSettings(attempts=3, backoff_seconds=0.002, timeout_seconds=5.0)
Script = Callable[[Endpoint[Reply], Ticket[Reply]], Awaitable[TryOutcome[Reply]]]


def window_of(endpoints: list[Endpoint[Reply]], send: Script, limits: ServiceSettings = LIMITS) -> RequestWindow[Reply]:
    return RequestWindow(endpoints, send, limits, ChatCompletions())


def answered(ticket: Ticket[Reply]) -> TryOutcome[Reply]:
    return TryOutcome(TryStatus.ANSWERED, answer=Reply(key=ticket.key, text="ok"))


def tickets(count: int, sink: Sink[Reply], prefix: int | None = None) -> list[Ticket[Reply]]:
    return [Ticket(str(n), b"", n if prefix is None else prefix, sink) for n in range(count)]


async def collect(sink: Sink[Reply], count: int) -> dict[str, Reply]:
    replies: dict[str, Reply] = {}
    while len(replies) < count:
        while sink._ready.empty():  # get() would block the loop
            await asyncio.sleep(0.001)
        for reply in sink.get():
            assert reply.key not in replies
            replies[reply.key] = reply
    return replies


def run(work: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


def test_the_window_is_kept_full_and_never_exceeded() -> None:
    peak = Counter[str]()

    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        peak[endpoint.url] = max(peak[endpoint.url], endpoint.in_flight)
        await asyncio.sleep(0.001)
        return answered(ticket)

    async def work() -> None:
        window = window_of([Endpoint[Reply]("a", 8), Endpoint[Reply]("b", 3)], send)
        sink = Sink[Reply]()
        window.submit(tickets(200, sink))
        assert len(await collect(sink, 200)) == 200
        window.measure()
        assert 0.8 < window.busy_seconds / (11 * window.wall_seconds) <= 1.0

    run(work())
    assert peak == {"a": 8, "b": 3}


def test_a_busy_server_halves_the_window_once_for_each_wave_and_answers_widen_it() -> None:
    limits = []

    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        limits.append(endpoint.limit)
        busy = endpoint.in_flight > 10
        await asyncio.sleep(0.001)
        return TryOutcome(TryStatus.BUSY, reason="429") if busy else answered(ticket)

    async def work() -> None:
        endpoint = Endpoint[Reply]("a", 64)
        window = window_of([endpoint], send)
        sink = Sink[Reply]()
        window.submit(tickets(400, sink))
        assert len(await collect(sink, 400)) == 400
        # 54 refusals of the first wave halve the window once, not 54 times.
        assert min(limits) > 3
        assert endpoint.limit < 32

    run(work())


def test_the_window_grows_back_to_its_full_width() -> None:
    async def work() -> None:
        endpoint = Endpoint[Reply]("a", 40)
        endpoint.shrink(sent_at=0.0, now=1.0)
        endpoint.shrink(sent_at=0.5, now=1.1)  # sent before the halving, so it does not count again
        assert endpoint.limit == 20
        endpoint.shrink(sent_at=1.2, now=1.3)
        assert endpoint.limit == 10
        for _ in range(1000):
            endpoint.grow()
        assert endpoint.limit == 40

    run(work())


def test_a_failed_request_is_retried_until_its_attempts_are_used_up() -> None:
    tries = Counter[str]()

    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        tries[ticket.key] += 1
        if ticket.key == "0" or (ticket.key == "1" and tries["1"] < 3):
            return TryOutcome(TryStatus.BROKEN, reason="cut")
        return answered(ticket)

    async def work() -> None:
        window = window_of([Endpoint[Reply]("a", 2)], send)
        sink = Sink[Reply]()
        window.submit(tickets(5, sink))
        replies = await collect(sink, 5)
        assert (replies["0"].finish, replies["0"].text) == ("error", "cut (3 attempts)")
        assert replies["1"].finish == "stop"

    run(work())
    assert tries == {"0": 3, "1": 3, "2": 1, "3": 1, "4": 1}


def test_busy_responses_use_up_no_attempts() -> None:
    tries = Counter[str]()

    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        tries[ticket.key] += 1
        return answered(ticket) if tries[ticket.key] > 6 else TryOutcome(TryStatus.BUSY, reason="503")

    async def work() -> None:
        window = window_of([Endpoint[Reply]("a", 4)], send)
        sink = Sink[Reply]()
        window.submit(tickets(4, sink))
        assert all(reply.finish == "stop" for reply in (await collect(sink, 4)).values())

    run(work())


def test_retry_after_pauses_the_endpoint_and_the_other_takes_over() -> None:
    sent: list[tuple[str, float]] = []

    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        sent.append((endpoint.url, asyncio.get_running_loop().time()))
        await asyncio.sleep(0.001)
        if endpoint.url == "a" and sum(url == "a" for url, _ in sent) == 1:
            return TryOutcome(TryStatus.BUSY, reason="429", retry_after=0.3)
        return answered(ticket)

    async def work() -> None:
        window = window_of([Endpoint[Reply]("a", 1), Endpoint[Reply]("b", 1)], send)
        sink = Sink[Reply]()
        window.submit(tickets(100, sink))
        await collect(sink, 100)

    run(work())
    first, *later = [moment for url, moment in sent if url == "a"]
    assert all(moment - first >= 0.3 for moment in later)
    assert sum(url == "b" for url, _ in sent) >= 90


def test_an_unreachable_endpoint_is_paused_while_the_other_does_its_work() -> None:
    tries = Counter[str]()

    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        tries[endpoint.url] += 1
        await asyncio.sleep(0.001)
        return TryOutcome(TryStatus.UNREACHABLE, reason="refused") if endpoint.url == "down" else answered(ticket)

    async def work() -> None:
        window = window_of(
            [Endpoint[Reply]("down", 4), Endpoint[Reply]("up", 4)],
            send,
            ServiceSettings(attempts=3, backoff_seconds=10.0, timeout_seconds=5.0),
        )
        sink = Sink[Reply]()
        window.submit(tickets(100, sink))
        assert all(reply.finish == "stop" for reply in (await collect(sink, 100)).values())

    run(work())
    assert tries["down"] <= 4
    assert tries["up"] == 100


def test_no_endpoint_at_all_is_an_error_that_names_it() -> None:
    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        return TryOutcome(TryStatus.UNREACHABLE, reason=f"{endpoint.url} cannot be reached: refused")

    async def work() -> None:
        window = window_of([Endpoint[Reply]("http://nowhere/v1", 4)], send)
        sink = Sink[Reply]()
        window.submit(tickets(10, sink))
        with pytest.raises(GenerationError, match="http://nowhere/v1") as caught:
            await collect(sink, 10)
        assert caught.value.remedy
        later = Sink[Reply]()
        window.submit(tickets(1, later))
        with pytest.raises(GenerationError):
            await collect(later, 1)

    run(work())


def test_a_server_that_stays_busy_is_an_error() -> None:
    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        return TryOutcome(TryStatus.BUSY, reason="quota exceeded")

    async def work() -> None:
        window = window_of(
            [Endpoint[Reply]("a", 4)], send, ServiceSettings(attempts=3, backoff_seconds=0.01, timeout_seconds=0.2)
        )
        sink = Sink[Reply]()
        window.submit(tickets(3, sink))
        with pytest.raises(GenerationError, match="quota exceeded"):
            await collect(sink, 3)

    run(work())


def test_a_server_that_keeps_failing_is_an_error_after_a_window_of_failed_requests() -> None:
    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        await asyncio.sleep(0.0005)
        return answered(ticket) if int(ticket.key) < 20 else TryOutcome(TryStatus.BROKEN, reason="answers 500")

    async def work() -> None:
        window = window_of([Endpoint[Reply]("a", 5)], send)
        sink = Sink[Reply]()
        window.submit(tickets(1000, sink))
        replies = []
        with pytest.raises(GenerationError, match="answers 500"):
            while True:
                replies += (await collect(sink, 1)).values()
        assert sum(reply.finish == "stop" for reply in replies) == 20
        assert sum(reply.finish == "error" for reply in replies) <= 4

    run(work())


def test_a_fatal_answer_ends_every_wait() -> None:
    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        await asyncio.sleep(0.001)
        if ticket.key == "bad":
            return TryOutcome(TryStatus.FATAL, error=GenerationError("wrong key"))
        await asyncio.sleep(60)
        return answered(ticket)

    async def work() -> None:
        window = window_of([Endpoint[Reply]("a", 10)], send)
        first, second = Sink[Reply](), Sink()
        window.submit(tickets(3, first))
        window.submit([Ticket("bad", b"", 0, second)])
        for sink in (first, second):
            with pytest.raises(GenerationError, match="wrong key"):
                await collect(sink, 1)

    run(work())


def test_a_defect_in_sending_reaches_the_caller() -> None:
    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        raise KeyError("oops")

    async def work() -> None:
        window = window_of([Endpoint[Reply]("a", 1)], send)
        sink = Sink[Reply]()
        window.submit(tickets(1, sink))
        with pytest.raises(GenerationError, match="KeyError"):
            await collect(sink, 1)

    run(work())


def test_prompts_that_begin_alike_stay_at_one_endpoint_unless_another_is_idle() -> None:
    seen: dict[int, set[str]] = {}

    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        seen.setdefault(ticket.prefix, set()).add(endpoint.url)
        await asyncio.sleep(0.001)
        return answered(ticket)

    async def work() -> None:
        window = window_of([Endpoint[Reply]("a", 4), Endpoint[Reply]("b", 4)], send)
        sink = Sink[Reply]()
        groups = [Ticket(f"{prefix}.{n}", b"", prefix, sink) for prefix in range(6) for n in range(10)]
        window.submit(groups)
        await collect(sink, 60)
        # Balanced groups: at most the last ones are shared out when an endpoint runs dry.
        assert sum(len(urls) == 1 for urls in seen.values()) >= 4
        seen.clear()
        window.submit(tickets(60, sink, prefix=99))
        await collect(sink, 60)
        assert seen == {99: {"a", "b"}}

    run(work())


def test_withdrawn_tickets_are_neither_sent_nor_answered() -> None:
    sent = Counter[str]()
    cancelled = []

    async def send(endpoint: Endpoint[Reply], ticket: Ticket[Reply]) -> TryOutcome[Reply]:
        sent[ticket.key] += 1
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            cancelled.append(ticket.key)
            raise
        return answered(ticket)

    async def work() -> None:
        window = window_of([Endpoint[Reply]("a", 2)], send)
        gone, kept = Sink[Reply](), Sink()
        window.submit([Ticket(f"gone{n}", b"", n, gone) for n in range(10)])
        await asyncio.sleep(0.01)
        window.withdraw(gone)
        window.submit([Ticket("kept", b"", 0, kept)])
        assert set(await collect(kept, 1)) == {"kept"}

    run(work())
    assert sent.total() == 3
    assert len(cancelled) == 2
