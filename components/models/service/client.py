"""The client of an HTTP model service: a window of requests at each endpoint, in the thread of one asyncio loop.

aiohttp instead of the openai client: the latter spends about 1 ms of CPU a request (see benchmarks/synthesis).
"""

import asyncio
import itertools
import threading
from collections.abc import Coroutine, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import aiohttp

from components.models.service.connection import check_endpoints, name_proxy, no_answer, request_headers, tls_context
from components.models.service.endpoint import Answer, Endpoint, Sink, Ticket, TryOutcome, TryStatus
from components.models.service.read_status import key_refused, read_status
from components.models.service.request_window import LONGEST_BACKOFF_SECONDS, RequestWindow
from components.models.service.service import HttpResponse, Service, ServiceRequest
from components.models.service.settings import ServiceSettings
from components.shared.proxy import proxy_of

# This many requests are sorted by their prompts and wait for their turn, or this many windows if that is more.
LOOK_AHEAD_REQUESTS = 1024
LOOK_AHEAD_WINDOWS = 4
# Prompts that share this many characters share a prefix worth caching (vLLM caches blocks of 16 tokens).
PREFIX_CHARACTERS = 256
CONNECT_SECONDS = 30.0
PROBE_SECONDS = 10.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class WindowUsage:
    """How the window was used since the client was opened.

    Attributes:
        retries: attempts that were repeated.
        busy_seconds: time with a request in flight, summed over all requests that may be in flight at once.
        wall_seconds: time with anything to do.
    """

    retries: int
    busy_seconds: float
    wall_seconds: float


class ServiceClient(Generic[Answer]):
    """Asks one service. Make one with `open`; several threads may share it."""

    def __init__(self, settings: ServiceSettings, service: Service[Answer]) -> None:
        self.settings, self.service = settings, service
        self.slots = settings.window * len(settings.endpoints)
        self._headers = request_headers(settings)
        self._tls = tls_context(settings.endpoints)
        found = {url.rstrip("/"): proxy_of(url) for url in settings.endpoints}
        self._proxies = {url: proxy.url if proxy else None for url, proxy in found.items()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=service.name, daemon=True)
        self._thread.start()
        self._session, self._window = self._run(self._open())

    @classmethod
    def open(cls, settings: ServiceSettings, service: Service[Answer]) -> "ServiceClient[Answer]":
        """Connect, and wait until at least one endpoint responds.

        Raises:
            SettingsError: no endpoints, a URL that is not valid, or no key in the variable.
            TutelageError: of the class `service.error`: no endpoint responds, or one refuses the key.
        """
        check_endpoints(settings, service)
        client = cls(settings, service)
        try:
            client._run(client._probe_all())
        except BaseException:
            client.close()
            raise
        return client

    def ask(self, requests: Iterable[ServiceRequest]) -> Generator[list[Answer], None, None]:
        """The answers to all requests, in any order, some at a time as they come.

        Raises:
            TutelageError: of the class `service.error`: no endpoint answers any more, or one refuses the key or does
                not know the model.
        """
        sink, waiting, exhausted, unanswered = Sink[Answer](), iter(requests), False, 0
        ahead = max(self.slots * LOOK_AHEAD_WINDOWS, LOOK_AHEAD_REQUESTS)
        try:
            while True:
                if not exhausted and unanswered <= ahead * 3 // 4:
                    taken = list(itertools.islice(waiting, ahead - unanswered))
                    exhausted = len(taken) < ahead - unanswered
                    unanswered += len(taken)
                    self._submit(taken, sink)
                if not unanswered:
                    return
                answers = sink.get()
                unanswered -= len(answers)
                yield answers
        finally:
            if unanswered and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._window.withdraw, sink)

    def usage(self) -> WindowUsage:
        """How full the window was until now."""
        self._run(self._measure())
        window = self._window
        return WindowUsage(window.retries, window.busy_seconds, window.wall_seconds)

    def close(self) -> None:
        """Close the connections and end the loop's thread."""
        if self._loop.is_closed():
            return
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _submit(self, requests: list[ServiceRequest], sink: Sink[Answer]) -> None:
        """Hand over requests, those with a common prefix next to each other."""
        requests.sort(key=lambda request: request.prompt)
        tickets = [
            Ticket(request.key, request.body, hash(request.prompt[:PREFIX_CHARACTERS]), sink) for request in requests
        ]
        if tickets:
            self._loop.call_soon_threadsafe(self._window.submit, tickets)

    async def _open(self) -> tuple[aiohttp.ClientSession, RequestWindow[Answer]]:
        settings = self.settings
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=settings.timeout_seconds, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        endpoints = [Endpoint[Answer](url.rstrip("/"), settings.window) for url in settings.endpoints]
        return session, RequestWindow(endpoints, self._post, settings, self.service)

    async def _shut(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._session.close()

    async def _measure(self) -> None:
        self._window.measure()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _post(self, endpoint: Endpoint[Answer], ticket: Ticket[Answer]) -> TryOutcome[Answer]:
        """One attempt."""
        url = endpoint.url
        try:
            async with self._session.post(
                f"{url}{self.service.path}",
                data=ticket.body,
                headers=self._headers,
                proxy=self._proxies[url],
                allow_redirects=False,
            ) as response:
                received = HttpResponse(url, response.status, response.headers, await response.read())
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return self._named(url, no_answer(self.service, url, error, self.settings.timeout_seconds))
        outcome = self._read(ticket.key, received)
        if received.status == 403 and endpoint.answered:
            # The key is accepted, so only this request is refused (by a gateway's moderation, say).
            outcome = TryOutcome(TryStatus.REFUSED, reason=outcome.reason)
        return self._named(url, outcome)

    def _read(self, key: str, response: HttpResponse) -> TryOutcome[Answer]:
        def by_status(status: int) -> TryOutcome[Answer]:
            return read_status(self.service, response, status, self.settings.api_key_variable)

        if 200 <= response.status < 300:
            return self.service.read(key, response, by_status)
        return by_status(response.status)

    def _named(self, url: str, outcome: TryOutcome[Answer]) -> TryOutcome[Answer]:
        return name_proxy(outcome, url) if self._proxies[url] else outcome

    async def _probe_all(self) -> None:
        """Wait until one endpoint responds. Raises the service's error."""
        for tries in range(self.settings.attempts):
            if tries:
                pause = self.settings.backoff_seconds * 2 ** (tries - 1)
                await asyncio.sleep(min(pause, LONGEST_BACKOFF_SECONDS))
            outcomes = await asyncio.gather(*(self._probe(endpoint.url) for endpoint in self._window.endpoints))
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
            if any(outcome.status is TryStatus.ANSWERED for outcome in outcomes):
                return
        raise self.service.error(
            f"no endpoint of {self.service.name} responds: {'; '.join(outcome.reason for outcome in outcomes)}",
            remedy=f"start the server, or correct `endpoints` ({' or '.join(self.service.base_urls)})",
            temporary=True,
        )

    async def _probe(self, url: str) -> TryOutcome[Answer]:
        """Any response counts but 401: not every endpoint has something at the probe's path."""
        timeout = aiohttp.ClientTimeout(total=min(PROBE_SECONDS, self.settings.timeout_seconds))
        get = partial(self._session.get, headers=self._headers, proxy=self._proxies[url], timeout=timeout)
        try:
            async with get(f"{url}{self.service.probe_path}") as response:
                if response.status == 401:
                    error = key_refused(self.service, url, response.status, self.settings.api_key_variable)
                    return self._named(url, TryOutcome(TryStatus.FATAL, error=error))
                return TryOutcome(TryStatus.ANSWERED)
        except (TimeoutError, aiohttp.ClientError, OSError) as failure:
            return self._named(url, no_answer(self.service, url, failure, PROBE_SECONDS))
