"""A judge that is opened for its first texts, and shared by threads."""

import threading
from collections.abc import Sequence

from components.rewards.checks.rollout_judge import RolloutJudge
from components.shared.sandbox.run_python import SandboxLimits


class SharedJudge:
    """Opens a `RolloutJudge` when it is needed: an error in the constructor of a Ray actor would lose its words.

    Args:
        kinds: of the checks.
        limits: of one run of code in the sandbox.
        threads: texts checked at a time; None: one for each core.
    """

    def __init__(self, kinds: Sequence[str], limits: SandboxLimits, threads: int | None) -> None:
        self._kinds, self._limits, self._threads = kinds, limits, threads
        self._judge: RolloutJudge | None = None
        self._opening = threading.Lock()

    def open(self) -> RolloutJudge:
        """The judge, opened once. Raises what `RolloutJudge` raises."""
        with self._opening:
            if self._judge is None:
                self._judge = RolloutJudge(self._kinds, self._limits, self._threads)
            return self._judge

    def close(self) -> None:
        """Close the judge, if it was opened."""
        if self._judge is not None:
            self._judge.close()
        self._judge = None
