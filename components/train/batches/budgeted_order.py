"""The order of a training where a budget of positions limits micro-batches: which rows each rank reads together.

A step's rows are those of its order, whatever the budget. Every rank makes the same number of micro-batches in a step,
and none is empty, as collective communication needs it (ZeRO-2 and ZeRO-3 reduce gradients in every micro-batch).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from components.models.forward.token_budget import best_fit, micro_batches, spread
from components.shared.text.counted import counted
from components.train.ranks import Ranks


@dataclass(frozen=True)
class Limits:
    """What one process may read in a forward pass: `tokens` positions and `rows` rows. One row is never too many."""

    tokens: int
    rows: int


@dataclass(frozen=True)
class StepRows:
    """The rows of a training, step by step.

    Attributes:
        order: row numbers, shape (steps * global_batch,).
        positions: of each row in a packed forward pass, shape (rows,).
        global_batch: rows of a step.
        together: rows of the order, from one of its multiples to the next, that all ranks read in one forward pass;
            1: each row is by itself.
    """

    order: np.ndarray
    positions: np.ndarray
    global_batch: int
    together: int = 1

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return len(self.order) // self.global_batch

    def undivided(self, ranks: int) -> np.ndarray:
        """Positions of what no budget divides, in one process: of each row, or of each group's largest share."""
        if self.together == 1:
            return self.positions
        # All epochs have the same groups, and the first one has all of them.
        groups = self.order[: len(self.positions)].reshape(-1, self.together)
        return np.array([_largest(_shares(group, self.positions, ranks), self.positions) for group in groups])

    def groups(self, step: int) -> np.ndarray:
        """Row numbers of a step, by what is read together, shape (groups, together)."""
        rows = self.order[step * self.global_batch : (step + 1) * self.global_batch]
        return rows.reshape(-1, self.together)

    def micro_batches(self, step: int, limits: Limits, ranks: int) -> list[list[list[int]]]:
        """Row numbers of each micro-batch of each rank in a step."""
        if self.together > 1:
            return self._whole_groups(self.groups(step), limits, ranks)
        rows = self.groups(step)[:, 0]
        dealt = micro_batches(self.positions[rows].tolist(), limits.tokens, ranks, limits.rows)
        return [[rows[places].tolist() for places in mine] for mine in dealt]

    def _whole_groups(self, groups: np.ndarray, limits: Limits, ranks: int) -> list[list[list[int]]]:
        shares = [_shares(group, self.positions, ranks) for group in groups]
        sizes = [_largest(share, self.positions) for share in shares]
        fitted = best_fit(sizes, limits.tokens, max(1, limits.rows * ranks // self.together))
        return [[[row for group in batch for row in shares[group][rank]] for batch in fitted] for rank in range(ranks)]


class MicroBatchOrder(ABC):
    """A batch sampler: row numbers of each micro-batch of this rank, `places` of them for each step.

    transformers and DeepSpeed count a fixed number of micro-batches in a step. So there are as many places as a rank
    would need for one row at a time, and those before the first micro-batch are empty lists, which cost nothing: they
    are skipped. A step is divided when it is reached.

    Args:
        rows: the training's.
        limits: of a micro-batch of this rank.
        places: micro-batches of a step, at most.
        undivided: positions of what no budget divides.
    """

    def __init__(self, rows: StepRows, limits: Limits, places: int, undivided: np.ndarray) -> None:
        self.rows, self.limits, self.places, self._undivided = rows, limits, places, undivided

    @abstractmethod
    def divided(self, step: int) -> list[list[int]]:
        """Row numbers of each micro-batch of this rank in a step, at least one."""

    @abstractmethod
    def first(self) -> list[int]:
        """Row numbers of a micro-batch of the first step, before anything else is known than the limits."""

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.rows.steps):
            mine = self.divided(step)
            yield from ([] for _ in range(self.places - len(mine)))
            yield from mine

    def __len__(self) -> int:
        return self.rows.steps * self.places

    @property
    def counts(self) -> dict[str, float]:
        """Counts for the manifest: the budget, and how many rows (KTO: groups) exceed it."""
        over = np.count_nonzero(self._undivided > self.limits.tokens)
        return {"micro_batch_tokens": self.limits.tokens, self._over: int(over)}

    def notes(self) -> list[str]:
        """A line for the log where something exceeds the budget."""
        over = int(self.counts[self._over])
        if not over:
            return []
        what = f"{counted(over, 'row')}, each a micro-batch of its own"
        if self.rows.together > 1:
            what = f"{counted(over, 'group')} of {self.rows.together} rows, which stay whole"
        most = self._undivided.max()
        return [f"micro_batch_tokens {self.limits.tokens:,} is exceeded by {what}: at most {most:,} positions"]

    @property
    def _over(self) -> str:
        return "groups_over_budget" if self.rows.together > 1 else "rows_over_budget"


class BudgetedOrder(MicroBatchOrder):
    """For ranks of equal speed: all make the same number of micro-batches, and skip the same places.

    Args:
        rows: the training's.
        limits: of a micro-batch.
        ranks: this process among all.
    """

    def __init__(self, rows: StepRows, limits: Limits, ranks: Ranks) -> None:
        super().__init__(rows, limits, rows.global_batch // ranks.world, rows.undivided(ranks.world))
        self._ranks = ranks

    def divided(self, step: int) -> list[list[int]]:
        """By the budget alone."""
        return self.rows.micro_batches(step, self.limits, self._ranks.world)[self._ranks.rank]

    def first(self) -> list[int]:
        """The first one."""
        return self.divided(0)[0]


def _shares(group: np.ndarray, positions: np.ndarray, ranks: int) -> list[list[int]]:
    """The rows of a group for each rank: equally many, and of similar size together."""
    dealt = spread(positions[group].tolist(), ranks, len(group) // ranks)
    return [group[places].tolist() for places in dealt]


def _largest(shares: Sequence[Sequence[int]], positions: np.ndarray) -> int:
    return max(int(positions[list(share)].sum()) for share in shares)
