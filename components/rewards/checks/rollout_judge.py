"""Verdicts on rollouts, by the checks of their problems."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from components.rewards.checks.checker import Checker
from components.rewards.checks.registry import open_checker
from components.shared.rows import Labelled
from components.shared.sandbox.run_python import SandboxLimits


class RolloutJudge:
    """Checks rollouts in threads; the work itself is done in processes.

    Args:
        kinds: of the checks. All are opened at once, so that what a machine lacks is found before a model is loaded.
        limits: of one run of code in the sandbox.
        threads: rollouts checked at a time; None: one for each core.

    Raises:
        InputError: an unknown kind of check.
        SandboxError: code is to be run, and this machine cannot confine it.
        SettingsError: a package that a check needs is not installed.
    """

    def __init__(self, kinds: Iterable[str], limits: SandboxLimits, threads: int | None) -> None:
        with ExitStack() as stack:
            self._checkers: dict[str, Checker] = {}
            for kind in sorted(set(kinds)):
                self._checkers[kind] = open_checker(kind, limits)
                stack.callback(self._checkers[kind].close)
            self._pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)))
            self._stack = stack.pop_all()

    def verdicts(self, tries: Sequence[tuple[Labelled, str]]) -> list[bool | None]:
        """Whether each text answers its problem; None where the check itself failed."""
        return list(self._pool.map(self._verdict, tries))

    def close(self) -> None:
        """End the threads, and the processes that checkers started."""
        self._pool.shutdown()
        self._stack.close()

    def _verdict(self, one: tuple[Labelled, str]) -> bool | None:
        row, text = one
        assert row.check is not None  # the step refuses problems without a check
        if not text.strip():
            return False
        return self._checkers[row.check.kind].verdict(row.check, text, row.instruction)
