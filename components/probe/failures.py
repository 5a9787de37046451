"""How many rollouts may fail."""

from components.probe.drawer import DrawnSlice
from components.probe.results import ProbedShards
from components.shared.errors import GenerationError
from components.shared.log import say

EARLY_ROLLOUTS = 100
"""After so many rollouts, the probe is given up if most of them fail."""


class FailedRollouts:
    """Counts the rollouts that failed.

    Args:
        shards: of the output: slices with failed rollouts are discarded when too many fail.
        allowed: share of the rollouts that may fail, 0 to 1.
    """

    def __init__(self, shards: ProbedShards, allowed: float) -> None:
        self._shards, self._allowed = shards, allowed
        self._asked = self._failed = 0
        self._reason = ""
        self._slices: list[int] = []

    def note(self, done: DrawnSlice) -> None:
        """Count a slice. Raises GenerationError once it is all but certain that too many fail."""
        self._asked += done.drawn + done.kept
        self._failed += done.failed
        if done.failed:
            self._slices.append(done.index)
            self._reason = self._reason or done.reason
        if self._asked >= EARLY_ROLLOUTS and self._failed > self._asked * (1 + self._allowed) / 2:
            self._give_up()

    def judge(self) -> None:
        """Report how many failed. Raises GenerationError when there are too many."""
        if self._failed > self._allowed * self._asked:
            self._give_up()
        if self._failed:
            say("probe", f"{self._failed} of {self._asked} rollouts failed; the first: {self._reason}")

    def _give_up(self) -> None:
        for index in self._slices:
            self._shards.discard(index)
        raise GenerationError(
            f"{self._failed} of {self._asked} rollouts failed; the first: {self._reason}",
            rule=f"at most {self._allowed:.1%} may fail (failed_share); a failed rollout never counts as wrong",
            remedy="fix what the message names and run again: the rollouts that came are kept",
        )
