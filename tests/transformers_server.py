"""A real OpenAI-compatible server that runs on the CPU: `transformers serve`."""

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LACKING = [name for name in ("fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None]


@contextmanager
def transformers_server(model: Path, log: Path) -> Iterator[str]:
    """The base URL of a server with one model. It may not answer yet: connecting waits. Skips where it cannot run."""
    if LACKING:
        pytest.skip(f"transformers serve lacks {', '.join(LACKING)}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    command = [program, "serve", str(model), "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)
