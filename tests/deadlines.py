"""Waiting for other processes and threads, always with a deadline: on a busy machine a test fails, it does not hang."""

import subprocess
import threading
from collections.abc import Callable
from typing import IO, Any, AnyStr, TypeVar

import pytest

SECONDS = 120.0
"""Long enough for a process that imports torch on a busy machine; what takes longer sets its own limit."""

Value = TypeVar("Value")


def next_line(stream: IO[AnyStr] | None, seconds: float = SECONDS) -> AnyStr:
    """The next line of a child's output; empty at its end."""
    assert stream is not None, "the child's output is not a pipe"
    return _within(seconds, stream.readline, "no line came")


def line_with(stream: IO[str] | None, words: str, seconds: float = SECONDS) -> str:
    """The first line of a child's output that contains these words."""
    assert stream is not None, "the child's output is not a pipe"
    found = _within(seconds, lambda: next((line for line in stream if words in line), ""), f"never said {words!r}")
    return found or pytest.fail(f"ended without saying {words!r}")


def ended(process: "subprocess.Popen[Any]", seconds: float = SECONDS) -> int:
    """A child's exit code once it has ended; one that does not end is killed, and the test fails."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"{process.args!r} has not ended after {seconds:.0f} s")


def rest_of(process: "subprocess.Popen[AnyStr]", seconds: float = SECONDS) -> tuple[AnyStr, AnyStr]:
    """What a child prints on both outputs until its end; one that does not end is killed, and the test fails."""
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"{process.args!r} has not ended after {seconds:.0f} s")


def joined(*threads: threading.Thread, seconds: float = SECONDS) -> None:
    """Wait for threads of this process."""
    for thread in threads:
        thread.join(seconds)
        if thread.is_alive():
            pytest.fail(f"thread {thread.name} has not ended after {seconds:.0f} s")


def _within(seconds: float, read: Callable[[], Value], late: str) -> Value:
    """A blocking read cannot be cancelled, so a thread does it: select does not see what is already buffered."""
    found: list[Value] = []
    reader = threading.Thread(target=lambda: found.append(read()), daemon=True)
    reader.start()
    reader.join(seconds)
    if not found:
        pytest.fail(f"{late} within {seconds:.0f} s")
    return found[0]
