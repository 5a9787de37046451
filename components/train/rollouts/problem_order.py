"""Which problems a training draws rollouts for, phase by phase; it learns from the rewards which it can leave out.

A phase draws the rollouts of one or several optimizer steps. A group whose rewards are all equal has no advantage, so
its problem teaches nothing: a problem of which every group was such is left out of the next epoch, and its places go to
the others. So epochs stay equally long, and the schedule of the learning rate is known from the start. In the epoch
after that the problem is drawn again: what a model never gets right at first may have come within its reach.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

EQUAL = 1e-6
"""Rewards that differ by less are equal: sums of float32."""


class Group(NamedTuple):
    """The lowest and the highest reward of a problem's group; None where no rollout of it got a verdict."""

    problem: int
    low: float | None
    high: float | None

    @property
    def has_verdict(self) -> bool:
        """Whether anything is known of it."""
        return self.low is not None and self.high is not None

    @property
    def differs(self) -> bool:
        """Whether its rewards differ, so that there is something to learn."""
        return self.low is not None and self.high is not None and self.high - self.low > EQUAL


class ProblemOrder:
    """The order of problems: determined by the seed and the rewards, and the same for any number of ranks.

    Args:
        problems: their number.
        batch: problems of a phase.
        epochs: of the training.
        seed: of the shuffling.
        leaves_out: whether problems whose rewards were all equal are left out of the next epoch.
    """

    def __init__(self, problems: int, batch: int, epochs: int, seed: int, *, leaves_out: bool) -> None:
        self._problems, self._batch, self._epochs, self._seed = problems, batch, epochs, seed
        self._leaves_out = leaves_out
        self._noted: list[Sequence[Group]] = []

    @property
    def phases(self) -> int:
        """Phases of an epoch."""
        return -(-self._problems // self._batch)

    @property
    def noted(self) -> int:
        """Phases whose rewards are known."""
        return len(self._noted)

    def note(self, groups: Sequence[Group]) -> None:
        """Note the rewards of the next phase."""
        self._noted.append(groups)

    def at(self, phase: int) -> np.ndarray:
        """The problems of a phase, from 0, in their order, shape (batch,). All phases of earlier epochs are noted."""
        epoch, place = divmod(phase, self.phases)
        return self.epoch(epoch)[place * self._batch :][: self._batch]

    def epoch(self, number: int) -> np.ndarray:
        """The problems of an epoch, shape (phases * batch,); the last phase is filled up with the epoch's first ones.

        Where all problems would be left out, none is.
        """
        left = np.setdiff1d(np.arange(self._problems), self.left_out(number))
        kept = left if len(left) else np.arange(self._problems)
        order = kept[np.random.default_rng([self._seed, number]).permutation(len(kept))]
        return np.resize(order, self.phases * self._batch)

    def planned(self) -> np.ndarray:
        """The problems of all epochs if none is left out, shape (epochs * phases * batch,)."""
        fresh = ProblemOrder(self._problems, self._batch, self._epochs, self._seed, leaves_out=False)
        return np.concatenate([fresh.epoch(number) for number in range(self._epochs)])

    def left_out(self, epoch: int) -> list[int]:
        """The problems that an epoch leaves out, by the rewards of the epoch before it."""
        if not self._leaves_out or epoch == 0:
            return []
        before = self._noted[(epoch - 1) * self.phases :][: self.phases]
        groups = [group for noted in before for group in noted if group.has_verdict]
        useful = {group.problem for group in groups if group.differs}
        return sorted({group.problem for group in groups} - useful)
