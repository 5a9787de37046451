"""Checks the responses of rows, as a measurement: 1 right, 0 wrong, between for graded checks, None without a check."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from components.rewards.checks.checker import Checker
from components.rewards.checks.registry import open_checker
from components.rewards.measured import Measured, is_scored
from components.shared.rows import Answered
from components.shared.sandbox.run_python import SandboxLimits


class CheckMeasure:
    """Checks rows in threads; a checker is opened when the first check of its kind appears.

    Args:
        limits: of one run of code in the sandbox.
        threads: rows checked at a time, by default one for each core; the work itself is done in processes.
    """

    def __init__(self, limits: SandboxLimits, threads: int | None = None) -> None:
        self.limits = limits
        self._checkers: dict[str, Checker] = {}
        self._opening = Lock()
        self._pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)))

    def measure(self, rows: Sequence[Answered]) -> list[Measured]:
        """One measurement for each row, in the order of the rows. Raises InputError for an unknown kind of check."""
        for kind in {row.check.kind for row in rows if row.check is not None}:
            self._checker(kind)
        return list(self._pool.map(self._measure_row, rows))

    def close(self) -> None:
        """End the threads, and the processes that the checkers started."""
        self._pool.shutdown()
        for checker in self._checkers.values():
            checker.close()

    def _checker(self, kind: str) -> Checker:
        with self._opening:
            if kind not in self._checkers:
                self._checkers[kind] = open_checker(kind, self.limits)
            return self._checkers[kind]

    def _measure_row(self, row: Answered) -> Measured:
        if row.check is None:
            return Measured(id=row.id, values=(None,) * len(row.responses))
        checker = self._checker(row.check.kind)
        texts = [response.text if is_scored(response.text, response.finish) else None for response in row.responses]
        verdicts = {
            text: checker.score(row.check, text, row.instruction) for text in dict.fromkeys(texts) if text is not None
        }
        return Measured(
            id=row.id,
            values=tuple(None if text is None else verdicts[text] for text in texts),
            groups=group_answers(checker, texts, row.instruction),
        )


def group_answers(checker: Checker, texts: Sequence[str | None], question: str) -> tuple[int, ...]:
    """For each response the index of the first one with the same answer; its own index where there is no response."""
    groups: list[int] = []
    for index, text in enumerate(texts):
        earlier = (other for other in range(index) if groups[other] == other and text is not None)
        groups.append(next((other for other in earlier if _same(checker, texts[other], text, question)), index))
    return tuple(groups)


def _same(checker: Checker, first: str | None, second: str | None, question: str) -> bool:
    return first is not None and second is not None and (first == second or checker.same(first, second, question))
