"""An OpenAI-compatible stub with a fixed number of slots and log-normal service times.

A request waits for a slot, holds it for its service time and is answered. The server is a bare asyncio protocol, so
that it costs little CPU beside the client that is measured: it reads only what it needs of HTTP/1.1.

`python -m benchmarks.synthesis.serve_stub` prints its port, then serves until stopped. `GET /stats` returns what was
served since the last `POST /reset`; service times start over with each reset, so every client meets the same ones.
"""

import asyncio
import json
import random
import time
from collections import deque
from typing import Annotated

import typer

ANSWER = {
    "id": "stub",
    "object": "chat.completion",
    "created": 0,
    "model": "stub",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "The answer is 42. " * 20}}
    ],
    "usage": {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200},
}


class Slots:
    """Slots with a queue before them, and what has been served.

    Args:
        count: requests that are served at one time.
        mean: mean service time, in seconds.
        sigma: of the logarithm of the service time.
    """

    def __init__(self, count: int, mean: float, sigma: float) -> None:
        self.count, self.sigma = count, sigma
        # The mean of a log-normal is exp(mu + sigma^2 / 2).
        self.scale = mean / pow(2.718281828459045, sigma**2 / 2)
        self.reset()

    def reset(self) -> None:
        """Reset the counters and the sequence of service times."""
        self.random = random.Random(0)
        self.free, self.waiting = self.count, deque["Connection"]()
        self.served, self.busy_seconds = 0, 0.0
        self.first, self.last = 0.0, 0.0

    def enter(self, connection: "Connection") -> None:
        """Serve a request now, or when a slot is free."""
        self.first = self.first or time.monotonic()
        if self.free:
            self.free -= 1
            self._serve(connection)
        else:
            self.waiting.append(connection)

    def _serve(self, connection: "Connection") -> None:
        seconds = self.scale * self.random.lognormvariate(0.0, self.sigma)
        asyncio.get_running_loop().call_later(seconds, self._end, connection, seconds)

    def _end(self, connection: "Connection", seconds: float) -> None:
        self.served += 1
        self.busy_seconds += seconds
        self.last = time.monotonic()
        connection.answer(ANSWER)
        if self.waiting:
            self._serve(self.waiting.popleft())
        else:
            self.free += 1

    def stats(self) -> dict[str, float]:
        """Requests served, seconds that slots worked, seconds from the first request to the last answer."""
        return {"served": self.served, "busy_seconds": self.busy_seconds, "wall_seconds": self.last - self.first}


class Connection(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, found, rest = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(rest) < int(length.split(b"\r\n", 1)[0] or 0):
            return
        self.data = b""
        self._handle(head.split(b" ", 2)[1])

    def _handle(self, path: bytes) -> None:
        if path.endswith(b"/chat/completions"):
            self.slots.enter(self)
        elif path.endswith(b"/stats"):
            self.answer(self.slots.stats())
        elif path.endswith(b"/reset"):
            self.slots.reset()
            self.answer({})
        else:
            self.answer({"object": "list", "data": [{"id": "stub", "object": "model"}]})

    def answer(self, value: object) -> None:
        """Send a JSON response."""
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


async def _serve(slots: Slots, port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(slots), "127.0.0.1", port, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(
    slots: Annotated[int, typer.Option(help="requests that are served at one time")] = 256,
    mean: Annotated[float, typer.Option(help="mean service time, in seconds")] = 0.3,
    sigma: Annotated[float, typer.Option(help="of the logarithm of the service time")] = 0.8,
    port: Annotated[int, typer.Option(help="0 takes a free one")] = 0,
) -> None:
    """Serve until ended."""
    asyncio.run(_serve(Slots(slots, mean, sigma), port))


if __name__ == "__main__":
    typer.run(main)
