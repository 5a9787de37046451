"""Processes that tests kill: what runs below them, and waiting until something holds."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.deadlines import ended

WAIT_SECONDS = 240.0  # starting Ray takes long on a busy machine


def descendants(process: int) -> set[int]:
    """All processes below one, by /proc."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def command_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return b""


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.05)


def kill_once(process: "subprocess.Popen[Any]", condition: Callable[[], bool]) -> None:
    """Kill a process alone once a condition holds, and wait until nothing of what runs below it is left."""
    wait_until(lambda: condition() or process.poll() is not None)
    assert process.poll() is None, "it ended before it was killed"
    below = descendants(process.pid)
    process.kill()
    ended(process)
    wait_until(lambda: not any(alive(each) for each in below))
