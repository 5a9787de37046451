"""The servers that clients are measured against: a stub with slots, and a real vLLM on the same cores."""

import contextlib
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.synthesis.run_client import Load
from benchmarks.vllm_cpu.server import VllmServer, serve

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO_TEACHER = REPOSITORY / "demo" / "teacher"
VLLM_SLOTS = 64
"""Sequences that vLLM runs at one time: with more, two cores take longer for each and answer no more."""


@dataclass(frozen=True)
class Served:
    """What a server saw of one client.

    Attributes:
        requests: requests that it answered.
        busy_seconds: time in which slots worked, summed over the slots.
        seconds: from the first request to the last answer; None where only the client knows it.
    """

    requests: int
    busy_seconds: float
    seconds: float | None = None


class MeasuredServer(Protocol):
    """A server that counts what it serves."""

    load: Load

    @property
    def url(self) -> str:
        """The base URL of its API."""
        ...

    def begin(self) -> None:
        """Start counting for the next client."""

    def served(self) -> Served:
        """What it served since then."""


@dataclass
class Stub:
    """The stub in a process of its own."""

    url: str
    load: Load = field(default_factory=Load)

    def begin(self) -> None:
        """Reset its counters, and its sequence of service times."""
        _call(f"{self.url}/reset", "POST")

    def served(self) -> Served:
        """Its own count."""
        seen = _call(f"{self.url}/stats")
        return Served(round(seen["served"]), seen["busy_seconds"], seen["wall_seconds"])


@dataclass
class Vllm:
    """A real vLLM: a slot is one of the sequences that it runs at one time."""

    server: VllmServer
    load: Load
    before: Served = Served(0, 0.0)

    @property
    def url(self) -> str:
        """The base URL of its API."""
        return self.server.url

    def begin(self) -> None:
        """Remember its counters, which only grow."""
        self.before = self._counters()

    def served(self) -> Served:
        """The growth of its counters: requests, and the time that they ran, without that in its queue."""
        now = self._counters()
        return Served(now.requests - self.before.requests, now.busy_seconds - self.before.busy_seconds)

    def _counters(self) -> Served:
        with urllib.request.urlopen(f"{self.server.root}/metrics") as response:
            text = response.read().decode()
        requests, seconds = (
            sum(float(value) for value in re.findall(rf"^{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE))
            for name in ("vllm:request_success_total", "vllm:request_inference_time_seconds_sum")
        )
        return Served(round(requests), seconds)


@contextlib.contextmanager
def start_stub() -> Iterator[Stub]:
    """The stub, until it is left."""
    command = [sys.executable, "-m", "benchmarks.synthesis.serve_stub", "--slots", str(Load().window)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as server:
        try:
            assert server.stdout is not None
            yield Stub(f"http://127.0.0.1:{int(server.stdout.readline())}/v1")
        finally:
            server.terminate()


@contextlib.contextmanager
def start_vllm() -> Iterator[Vllm]:
    """vLLM with the demo's teacher, until it is left. Raises VllmUnavailableError and VllmStartError."""
    load = Load(model=DEMO_TEACHER.name, window=VLLM_SLOTS, max_tokens=100)
    # Prompts are repeated by every client: a cache of prefixes would serve the second one faster than the first.
    with serve(DEMO_TEACHER, f"--max-num-seqs={VLLM_SLOTS}", "--no-enable-prefix-caching") as server:
        yield Vllm(server, load)


def _call(url: str, method: str = "GET") -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as response:
        return json.load(response)
