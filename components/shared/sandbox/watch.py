"""Watches a sandboxed process: feeds its stdin, collects its output, and enforces the limits that rlimits cannot."""

import os
import selectors
import subprocess
import time
from pathlib import Path
from typing import Literal, Protocol

TICK_SECONDS = 0.05
CHUNK_BYTES = 1 << 16
REPORT_BYTES = 4096

Passed = Literal["wall", "output", "files"] | None
"""The limit that was passed, or None when the process ended by itself."""


class WatchedLimits(Protocol):
    """The limits that are enforced from outside."""

    @property
    def output_bytes(self) -> int: ...
    @property
    def folder_bytes(self) -> int: ...
    @property
    def folder_files(self) -> int: ...


class Watch:
    """One run, watched.

    Args:
        process: started with unbuffered pipes for stdin, stdout and stderr.
        report: descriptor that the process reports on.
        folder: its working folder.
        given: the bytes for its stdin.
        limits: bytes of output, bytes and files in the folder.
    """

    def __init__(
        self, process: "subprocess.Popen[bytes]", report: int, folder: Path, given: bytes, limits: WatchedLimits
    ) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._process, self._folder, self._limits = process, folder, limits
        self._given = memoryview(given)
        self._gathered: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray(), "report": bytearray()}
        self._selector = selectors.DefaultSelector()
        readers = {"stdout": process.stdout.fileno(), "stderr": process.stderr.fileno(), "report": report}
        for name, descriptor in readers.items():
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ, name)
        os.set_blocking(process.stdin.fileno(), False)
        self._selector.register(process.stdin.fileno(), selectors.EVENT_WRITE, "stdin")

    def to_the_end(self, deadline: float) -> Passed:
        """Return when the process has ended, or when it passed a limit and has to be killed.

        Args:
            deadline: on the monotonic clock, in seconds.
        """
        with self._selector:
            while not self._has_ended():
                if passed := self._passed(deadline):
                    return passed
                self._turn(TICK_SECONDS)
            while self._turn(0.0) and self._output_bytes() <= self._limits.output_bytes:
                pass
        return "output" if self._output_bytes() > self._limits.output_bytes else None

    def text(self, name: str) -> str:
        """What was written to `stdout`, `stderr` or `report`, truncated at the limit."""
        limit = REPORT_BYTES if name == "report" else self._limits.output_bytes
        return bytes(self._gathered[name][:limit]).decode("utf-8", "replace")

    def _has_ended(self) -> bool:
        """Whether the process has ended; it is not waited for, so that its number stays taken."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _passed(self, deadline: float) -> Passed:
        if time.monotonic() > deadline:
            return "wall"
        if self._output_bytes() > self._limits.output_bytes:
            return "output"
        return "files" if self._folder_is_too_full() else None

    def _output_bytes(self) -> int:
        return len(self._gathered["stdout"]) + len(self._gathered["stderr"])

    def _folder_is_too_full(self) -> bool:
        """There are only flat files: the sandbox refuses to make folders."""
        total = files = 0
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    total += entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue
                files += 1
                if files > self._limits.folder_files or total > self._limits.folder_bytes:
                    return True
        return False

    def _turn(self, seconds: float) -> bool:
        """Transfer available bytes, waiting at most `seconds` for some; returns whether any were transferred."""
        if not self._selector.get_map():
            # It closed its streams and is still running; or it is exiting, which takes a millisecond.
            time.sleep(min(seconds, 0.002))
            return False
        moved = False
        for key, _ in self._selector.select(seconds):
            moved |= self._feed(key.fd) if key.data == "stdin" else self._gather(key.fd, key.data)
        return moved

    def _feed(self, descriptor: int) -> bool:
        try:
            self._given = self._given[os.write(descriptor, self._given[:CHUNK_BYTES]) :]
        except BrokenPipeError:
            self._given = self._given[:0]
        if not self._given:
            self._selector.unregister(descriptor)
            assert self._process.stdin is not None
            self._process.stdin.close()
        return True

    def _gather(self, descriptor: int, name: str) -> bool:
        try:
            part = os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not part:
            self._selector.unregister(descriptor)
        elif len(self._gathered["report"]) < REPORT_BYTES or name != "report":
            self._gathered[name] += part
        return bool(part)
