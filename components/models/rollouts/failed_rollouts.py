"""How many rollouts may fail."""

from collections.abc import Callable

from components.shared.errors import GenerationError
from components.shared.log import say

EARLY_ROLLOUTS = 100
"""After so many rollouts, the step is given up if most of them fail."""


class FailedRollouts:
    """Counts the rollouts that failed.

    Args:
        step: the step's name in the log.
        allowed: share of the rollouts that may fail, 0 to 1.
        discard: deletes a slice of the output, by its number: those with failed rollouts, when too many fail.
    """

    def __init__(self, step: str, allowed: float, discard: Callable[[int], None]) -> None:
        self._step, self._allowed, self._discard = step, allowed, discard
        self._asked = self._failed = 0
        self._reason = ""
        self._slices: list[int] = []

    def note(self, index: int, asked: int, failed: int, reason: str) -> None:
        """Count a slice; `reason` is why the first failed. Raises GenerationError once too many are sure to fail."""
        self._asked += asked
        self._failed += failed
        if failed:
            self._slices.append(index)
            self._reason = self._reason or reason
        if self._asked >= EARLY_ROLLOUTS and self._failed > self._asked * (1 + self._allowed) / 2:
            self._give_up()

    def judge(self) -> None:
        """Report how many failed. Raises GenerationError when there are too many."""
        if self._failed > self._allowed * self._asked:
            self._give_up()
        if self._failed:
            say(self._step, f"{self._failed} of {self._asked} rollouts failed; the first: {self._reason}")

    def _give_up(self) -> None:
        for index in self._slices:
            self._discard(index)
        raise GenerationError(
            f"{self._failed} of {self._asked} rollouts failed; the first: {self._reason}",
            rule=f"at most {self._allowed:.1%} may fail (failed_share); a failed rollout never counts as wrong",
            remedy="fix what the message names and run again: the rollouts that came are kept",
        )
