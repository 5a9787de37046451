"""A real OpenAI-compatible server that can misbehave, tiny models, and instructions in a folder store."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import Labelled
from components.shared.settings import Settings
from components.shared.step import Product
from tests.tiny_model import save_tiny_model

Behaviour = Callable[[int, dict[str, Any]], web.StreamResponse | str | None]


@dataclass
class Stub:
    """`behave` gets a request's number (from 1) and body; it returns a response, "cut", "hang", or None to answer."""

    url: str = ""
    seconds: float = 0.0
    behave: Behaviour = lambda number, body: None
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    peak: int = 0

    def counts(self) -> Counter[str]:
        """How often each prompt was asked."""
        return Counter(self.asked)

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": []})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = body["messages"][-1]["content"]
        self.asked.append(text)
        self.moments.append(time.monotonic())
        self.headers.append(dict(request.headers))
        self.bodies.append(body)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            action = self.behave(len(self.asked), body)
            if action == "hang":
                await asyncio.sleep(30)
            if action == "cut":
                assert request.transport is not None
                request.transport.abort()
            if isinstance(action, web.StreamResponse):
                return action
            await asyncio.sleep(self.seconds)
        finally:
            self.in_flight -= 1
        self.answered.append(text)
        message = {"role": "assistant", "content": f"answer to {text}"}
        usage = {"prompt_tokens": len(text), "completion_tokens": 3}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


def serve(stub: Stub, started: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
    async def start() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", stub.chat)
        app.router.add_get("/v1/models", stub.models)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        started.set()

    asyncio.set_event_loop(loop)
    loop.create_task(start())
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()


@pytest.fixture
def start_stub() -> Iterator[Callable[[], Stub]]:
    loops: list[asyncio.AbstractEventLoop] = []
    threads: list[threading.Thread] = []

    def start() -> Stub:
        stub, started, loop = Stub(), threading.Event(), asyncio.new_event_loop()
        threads.append(threading.Thread(target=serve, args=(stub, started, loop), daemon=True))
        threads[-1].start()
        assert started.wait(10)
        loops.append(loop)
        return stub

    yield start
    for loop in loops:
        loop.call_soon_threadsafe(loop.stop)
    for thread in threads:
        thread.join(10)


@pytest.fixture
def stub(start_stub: Callable[[], Stub]) -> Stub:
    return start_stub()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models with random weights, each with a tokenizer and a chat template."""
    folder = tmp_path_factory.mktemp("models")
    return {
        name: save_tiny_model(folder / name, seed, max_position_embeddings=256)
        for seed, name in enumerate(("teacher", "student"))
    }


class Made(Settings):
    """Stands for the settings of whatever made the instructions."""

    rows: int


def write_instructions(root: Path, count: int) -> Manifest:
    output = Output(Library(str(root)), Product("curate", 1, "labelled/1"), Made(rows=count), {})
    writer = RowWriter(output, rows_per_shard=30)
    for number in range(count):
        writer.add(
            Labelled(
                id=f"row{number}",
                source="made",
                line=number + 1,
                instruction=f"What is {number} plus {number}?",
                response=str(2 * number) if number % 4 else "",
                type="arithmetic",
                primary="maths",
                secondary="sums",
            )
        )
    writer.close()
    return output.finish()


@pytest.fixture
def instructions(tmp_path: Path) -> Callable[[int], Manifest]:
    """Write so many Labelled rows below `tmp_path / "store"`; every fourth came without a response."""
    return lambda count: write_instructions(tmp_path / "store", count)


def start_ray(folder: str) -> "tuple[subprocess.Popen[bytes], str]":
    """A Ray of two cores with its address; an empty one when it did not start."""
    program = Path(sys.executable).with_name("ray")
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "NO_COLOR": "1"}
    options = ["--num-cpus=2", "--include-dashboard=false", "--object-store-memory=100000000", f"--temp-dir={folder}"]
    log = Path(folder) / "out"
    with log.open("w") as out:
        command = [program, "start", "--head", "--block", "--port=0", *options]
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
    while process.poll() is None:
        if "This command will now block" in log.read_text():
            found = re.search(r"ray start --address='([^']+)'", log.read_text())
            return process, found.group(1) if found else ""
        time.sleep(0.2)
    return process, ""


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """A Ray for the tests of a file: an idle one costs processor time. A second try, since it gives itself 30 s."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a short path, since Ray's sockets are below it
    process, address = start_ray(folder)
    if not address:
        process, address = start_ray(folder)
    assert address, (Path(folder) / "out").read_text()
    yield address
    os.killpg(process.pid, signal.SIGKILL)  # SIGTERM would drain the node first, for half a minute
    process.wait(60)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(ray_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run on the file's Ray."""
    monkeypatch.setenv("RAY_ADDRESS", ray_address)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
