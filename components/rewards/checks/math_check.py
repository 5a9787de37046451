"""Mathematical answers compared by value, with math-verify."""

import contextlib
import json
import select as readiness
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

from components.rewards.mathematics.compare_answers import same_answer, states_answer
from components.shared.errors import InputError, SettingsError
from components.shared.log import say
from components.shared.rows import Check

WORKER = Path(__file__).with_name("math_worker.py")
TIMEOUT_SECONDS = 10.0
START_SECONDS = 300.0


class MathChecker:
    """Right is the answer by value, all of it: 0.5 is 1/2, `#### 1,000` is 1000, `x = 1` is not `x = 1 or x = 2`.

    Every thread has its own worker process. A comparison that outlasts TIMEOUT_SECONDS counts as different, and its
    worker is replaced.

    Raises:
        SettingsError: math-verify is not installed.
    """

    def __init__(self) -> None:
        if find_spec("math_verify") is None:
            raise SettingsError(
                "checks of kind 'math' need the package math-verify",
                remedy="install tutelage[select], or collect the data without checks",
            )
        self._own = threading.local()
        self._workers: list[Worker] = []

    def passes(self, check: Check, text: str, question: str = "") -> bool:
        """Whether the response states the right answer, and no other."""
        return states_answer(check.answer, text, self._equal)

    def same(self, first: str, second: str, question: str = "") -> bool:
        """Whether two responses state one answer."""
        return first == second or same_answer(first, second, self._equal)

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.end()

    def _equal(self, first: str, second: str) -> bool:
        return self._worker().ask({"first": first, "second": second})

    def _worker(self) -> "Worker":
        if not hasattr(self._own, "worker"):
            self._own.worker = Worker()
            self._workers.append(self._own.worker)
        worker: Worker = self._own.worker
        return worker


class Worker:
    """A process that compares; started when it is first asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: dict[str, str]) -> bool:
        """The worker's answer; False when it takes too long or breaks on the question. Raises InputError."""
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
        say("select", f"an answer could not be compared within {TIMEOUT_SECONDS:.0f} s; it counts as wrong")
        self.end()
        return False

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
        """A new worker, ready; the end of its stdin ends it, so none outlives this process."""
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
                "the process that compares mathematical answers does not start",
                remedy=f"run {sys.executable} {WORKER} and see what it says",
            )
        return self._process
