"""A teacher behind one or several OpenAI-compatible endpoints (vLLM first of all), over aiohttp.

aiohttp instead of the openai client: the latter spends about 1 ms of CPU a request (see benchmarks/synthesis).
"""

import asyncio
import hashlib
import itertools
import json
import threading
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, TypeVar

import aiohttp

from components.models.connection import check_endpoints, name_proxy, no_answer, request_headers, tls_context
from components.models.endpoint import Endpoint, Outcome, Sink, Ticket, Verdict
from components.models.read_answer import Response, read_answer, refused_key
from components.models.request_window import Patience, RequestWindow
from components.models.teacher import Reply, Request, Sampling, TeacherSettings, Usage
from components.shared.errors import TeacherError
from components.shared.proxy import proxy_of

# So many requests are sorted by their beginnings and wait for their turn, or so many windows if that is more.
LOOK_AHEAD_REQUESTS = 1024
LOOK_AHEAD_WINDOWS = 4
# Prompts that agree in so many characters share a prefix worth caching (vLLM caches blocks of 16 tokens).
PREFIX_CHARACTERS = 256
CONNECT_SECONDS = 30.0
PROBE_SECONDS = 10.0

Result = TypeVar("Result")


class OpenAITeacher:
    """Keeps a window of requests at each endpoint. Make one with `connect`."""

    def __init__(self, settings: TeacherSettings) -> None:
        self.settings = settings
        self._headers = request_headers(settings)
        self._tls = tls_context(settings.endpoints)
        found = {url.rstrip("/"): proxy_of(url) for url in settings.endpoints}
        self._proxies = {url: proxy.url if proxy else None for url, proxy in found.items()}
        self._counting = threading.Lock()
        self._usage = Usage(slots=settings.window * len(settings.endpoints))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-teacher", daemon=True)
        self._thread.start()
        self._session, self._window = self._run(self._open())

    @classmethod
    def open(cls, settings: TeacherSettings) -> "OpenAITeacher":
        """Connect, and see that one endpoint at least is there.

        Raises:
            SettingsError: no endpoints, a URL that is none, or no key in the variable.
            TeacherError: no endpoint answers, or one refuses the key.
        """
        check_endpoints(settings)
        teacher = cls(settings)
        try:
            teacher._run(teacher._probe_all())
        except BaseException:
            teacher.close()
            raise
        return teacher

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Reply]:
        """Answer all requests. Several threads may call this at once: they share the window.

        Raises:
            TeacherError: no endpoint answers any more, or one refuses the key or does not know the model.
        """
        sink, waiting, exhausted, unanswered = Sink(), iter(requests), False, 0
        ahead = max(self._usage.slots * LOOK_AHEAD_WINDOWS, LOOK_AHEAD_REQUESTS)
        try:
            while True:
                if not exhausted and unanswered <= ahead * 3 // 4:
                    tickets = self._tickets(list(itertools.islice(waiting, ahead - unanswered)), sampling, sink)
                    exhausted = len(tickets) < ahead - unanswered
                    unanswered += len(tickets)
                    if tickets:
                        self._loop.call_soon_threadsafe(self._window.submit, tickets)
                if not unanswered:
                    return
                replies = sink.get()
                unanswered -= len(replies)
                self._count(replies)
                yield from replies
        finally:
            if unanswered and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._window.withdraw, sink)

    def usage(self) -> Usage:
        """What was asked and answered until now, and how full the window was."""
        self._run(self._measure())
        window = self._window
        seen = {"retries": window.retries, "busy_seconds": window.busy_seconds, "wall_seconds": window.wall_seconds}
        return self._usage.model_copy(update=seen)

    def close(self) -> None:
        """Close the connections and end the loop's thread."""
        if self._loop.is_closed():
            return
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> tuple[aiohttp.ClientSession, RequestWindow]:
        settings = self.settings
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=settings.timeout_seconds, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        patience = Patience(settings.attempts, settings.backoff_seconds, settings.timeout_seconds)
        endpoints = [Endpoint(url.rstrip("/"), settings.window) for url in settings.endpoints]
        return session, RequestWindow(endpoints, self._post, patience)

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

    def _tickets(self, requests: list[Request], sampling: Sampling, sink: Sink) -> list[Ticket]:
        """Requests as tickets, those that begin alike beside one another."""
        tickets = []
        for request in requests:
            messages = json.dumps([{"role": message.role, "content": message.content} for message in request.messages])
            tickets.append((messages, Ticket(request.key, b"", hash(messages[:PREFIX_CHARACTERS]), sink)))
        tickets.sort(key=lambda item: item[0])
        for messages, ticket in tickets:
            ticket.body = self._body(messages, ticket.key, sampling)
        return [ticket for _, ticket in tickets]

    def _body(self, messages: str, key: str, sampling: Sampling) -> bytes:
        fields: dict[str, Any] = {
            "model": self.settings.model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
        }
        if sampling.temperature > 0:
            seed = int.from_bytes(hashlib.sha256(f"{sampling.seed}:{key}".encode()).digest()[:4], "big") >> 1
            fields.update(top_p=sampling.top_p, seed=seed)
        fields.update(self.settings.extra)
        return f'{json.dumps(fields)[:-1]}, "messages": {messages}}}'.encode()

    def _count(self, replies: list[Reply]) -> None:
        with self._counting:
            self._usage = self._usage.after(replies)

    async def _post(self, endpoint: Endpoint, ticket: Ticket) -> Outcome:
        """One try."""
        url = endpoint.url
        try:
            async with self._session.post(
                f"{url}/chat/completions",
                data=ticket.body,
                headers=self._headers,
                proxy=self._proxies[url],
                allow_redirects=False,
            ) as response:
                data = await response.read()
                answer = Response(url, response.status, response.headers, data)
                outcome = read_answer(ticket.key, answer, self.settings.api_key_variable)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return self._named(url, no_answer(url, error, self.settings.timeout_seconds))
        if response.status == 403 and endpoint.answered:
            # The key is good, so this one request is refused (a gateway's moderation, say).
            outcome = Outcome(Verdict.REFUSED, reason=outcome.reason)
        return self._named(url, outcome)

    def _named(self, url: str, outcome: Outcome) -> Outcome:
        return name_proxy(outcome, url) if self._proxies[url] else outcome

    async def _probe_all(self) -> None:
        """Wait until one endpoint gives a sign of life. Raises TeacherError."""
        for tries in range(self.settings.attempts):
            if tries:
                await asyncio.sleep(min(self.settings.backoff_seconds * 2 ** (tries - 1), 60.0))
            outcomes = await asyncio.gather(*(self._probe(endpoint) for endpoint in self._window.endpoints))
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
            if any(outcome.verdict is Verdict.ANSWERED for outcome in outcomes):
                return
        raise TeacherError(
            f"no teacher answers: {'; '.join(outcome.reason for outcome in outcomes)}",
            remedy="start the server, or correct `endpoints` (http://HOST:8000/v1 for vLLM)",
            temporary=True,
        )

    async def _probe(self, endpoint: Endpoint) -> Outcome:
        """Any answer is a sign of life: not every endpoint lists its models."""
        url = endpoint.url
        timeout = aiohttp.ClientTimeout(total=min(PROBE_SECONDS, self.settings.timeout_seconds))
        try:
            async with self._session.get(
                f"{url}/models", headers=self._headers, proxy=self._proxies[url], timeout=timeout
            ) as response:
                if response.status == 401:
                    error = refused_key(url, response.status, self.settings.api_key_variable)
                    return self._named(url, Outcome(Verdict.FATAL, error=error))
                return Outcome(Verdict.ANSWERED)
        except (TimeoutError, aiohttp.ClientError, OSError) as failure:
            return self._named(url, no_answer(url, failure, PROBE_SECONDS))
