"""Checks mathematical answers by value, with math-verify."""

import contextlib
import json
import select as readiness
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from components.rewards.checks.checker import Checker
from components.rewards.mathematics.compare_answers import same_answer, states_answer
from components.shared.errors import InputError, SettingsError
from components.shared.log import say
from components.shared.rows import Check

WORKER = Path(__file__).with_name("math_worker.py")
TIMEOUT_SECONDS = 10.0
START_SECONDS = 300.0


class MathChecker(Checker):
    """Compares complete answers by value: 0.5 is 1/2, `#### 1,000` is 1000, `x = 1` is not `x = 1 or x = 2`.

    Each comparison has a worker process to itself. Idle workers are used again, so there are as many as threads that
    compare at a time. A comparison that takes longer than TIMEOUT_SECONDS does not show that answers are equal, and its
    worker is replaced.

    Raises:
        SettingsError: math-verify is not installed.
    """

    metric = "math_match"

    def __init__(self) -> None:
        if find_spec("math_verify") is None:
            raise SettingsError(
                "checks of kind 'math' need the package math-verify",
                remedy="install tutelage[select], or collect the data without checks",
            )
        self._idle: list[MathWorker] = []

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether the response states the right answer, and no other."""
        return states_answer(check.answer, text, self._equal)

    def verdict(self, check: Check, text: str, question: str = "") -> bool | None:
        """As `passes`, but None where a comparison timed out or crashed and nothing else states the right answer."""
        undecided = False

        def equal(first: str, second: str) -> bool:
            nonlocal undecided
            same = self._compare(first, second)
            undecided |= same is None
            return bool(same)

        right = states_answer(check.answer, text, equal)
        return None if undecided and not right else right

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses state the same answer."""
        return first == second or same_answer(first, second, self._equal)

    def close(self) -> None:
        """End all workers; none is in use."""
        while self._idle:
            self._idle.pop().end()

    def _equal(self, first: str, second: str) -> bool:
        return bool(self._compare(first, second))

    def _compare(self, first: str, second: str) -> bool | None:
        with self._worker() as worker:
            return worker.ask({"first": first, "second": second})

    @contextlib.contextmanager
    def _worker(self) -> Iterator["MathWorker"]:
        """A worker that no other thread uses. A list's append and pop are atomic."""
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = MathWorker()
        try:
            yield worker
        finally:
            self._idle.append(worker)


class MathWorker:
    """A process that compares expressions; it is started for the first question."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: dict[str, str]) -> bool | None:
        """The worker's answer; None when it times out or crashes. Raises InputError."""
        process = self._process
        if process is None or process.poll() is not None:
            process = self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            if readiness.select([process.stdout], [], [], TIMEOUT_SECONDS)[0] and (line := process.stdout.readline()):
                return bool(json.loads(line))
        except BrokenPipeError:
            pass
        say("checks", f"two answers could not be compared within {TIMEOUT_SECONDS:.0f} s; they do not count as equal")
        self.end()
        return None

    def end(self) -> None:
        """Kill the process."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._process = None

    def _start(self) -> "subprocess.Popen[str]":
        """A new worker that is ready; it exits at the end of its stdin, so none outlives this process."""
        self.end()
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        if (
            not readiness.select([self._process.stdout], [], [], START_SECONDS)[0]
            or not self._process.stdout.readline()
        ):
            self.end()
            raise InputError(
                "the process that compares mathematical answers did not start",
                remedy=f"run `{sys.executable} {WORKER}` and look at its error",
            )
        return self._process
