"""The order of a training on ranks of unequal speed: which rows each rank reads together.

A step's rows are those of its order, whatever the speeds. Each rank gets tokens in proportion to its speed and packs
them within its own budget, so ranks make different numbers of micro-batches: at least one each. Groups of rows that are
read together, such as those of KTO's reference point, stay in one rank's micro-batch.
"""

from collections.abc import Sequence

import numpy as np

from components.models.forward.token_budget import best_fit, spread
from components.shared.errors import SettingsError
from components.train.balance.deal import deal_groups
from components.train.balance.shares import MOST_TOKENS, RankSpeed
from components.train.batches.budgeted_order import Limits, MicroBatchOrder, StepRows
from components.train.ranks import Ranks


class BalancedOrder(MicroBatchOrder):
    """A batch sampler whose steps are dealt by speed. `adopt` must be called before the first step is reached.

    Args:
        rows: the training's.
        limits: of a micro-batch of this rank; other ranks may have other budgets, and all have the same `rows`.
        ranks: this process among all.
        equally_many: whether ranks make equally many passes in a step, as ZeRO-2 reduces gradients in each of them. A
            rank with few groups then has fewer micro-batches, and fills up with passes without weight.

    Attributes:
        load: positions of this rank in the step that was reached last.

    Raises:
        SettingsError: a step has fewer groups than there are ranks.
    """

    def __init__(self, rows: StepRows, limits: Limits, ranks: Ranks, *, equally_many: bool) -> None:
        groups = rows.global_batch // rows.together
        if groups < ranks.world:
            raise SettingsError(
                f"{groups} groups of {rows.together} rows in a step, and {ranks.world} ranks",
                rule="every rank computes at least one group of rows in each optimizer step",
                remedy="raise global_batch, or train on fewer ranks",
            )
        super().__init__(rows, limits, groups - ranks.world + 1, rows.undivided(1))
        self.equally_many, self.load = equally_many, 0
        self._ranks = ranks
        self._speeds: tuple[RankSpeed, ...] = ()

    def adopt(self, speeds: Sequence[RankSpeed]) -> None:
        """Deal the steps that are reached from now on by these speeds and budgets, which all ranks must adopt."""
        self._speeds = tuple(speeds)

    def divided(self, step: int) -> list[list[int]]:
        """By speed."""
        groups = self.rows.groups(step)
        sizes = self.rows.positions[groups].sum(axis=1)
        speeds = np.array([rank.tokens_a_second for rank in self._speeds])
        owners = deal_groups(sizes, speeds, np.array([rank.fixed_seconds for rank in self._speeds]))
        mine = np.flatnonzero(owners == self._ranks.rank)
        self.load = int(sizes[mine].sum())
        packed = self._packed(sizes[mine], self._speeds[self._ranks.rank].most_tokens)
        if self.equally_many:
            others = [self._packed(sizes[owners == rank], one.most_tokens) for rank, one in enumerate(self._speeds)]
            packed = divide_more(packed, sizes[mine], max(map(len, others)))
        return [groups[mine[batch]].reshape(-1).tolist() for batch in packed]

    def sample(self) -> list[list[int]]:
        """Micro-batches of this rank with which all ranks measure their speed: the same rows, an even share of a step.

        Every rank packs them within its own budget.
        """
        groups = self.rows.groups(0)
        sizes = self.rows.positions[groups].sum(axis=1)
        share = np.flatnonzero(deal_groups(sizes, np.ones(self._ranks.world)) == 0)
        return [groups[share[batch]].reshape(-1).tolist() for batch in self._packed(sizes[share], self.limits.tokens)]

    def first(self) -> list[int]:
        """Of an even share."""
        return self.sample()[0]

    @property
    def step_positions(self) -> float:
        """Positions of a mean step."""
        return float(self.rows.positions.mean()) * self.rows.global_batch

    @property
    def counts(self) -> dict[str, float]:
        """Those of the budget, where there is one."""
        return {} if self.limits.tokens == MOST_TOKENS else super().counts

    def notes(self) -> list[str]:
        """What exceeds the budget, where there is one."""
        return super().notes() if self.counts else []

    def _packed(self, sizes: np.ndarray, budget: int) -> list[list[int]]:
        return best_fit(sizes.tolist(), budget, max(1, self.limits.rows // self.rows.together))


def divide_more(packed: Sequence[Sequence[int]], sizes: np.ndarray, number: int) -> list[list[int]]:
    """Divide micro-batches, the largest first, until there are `number` of them or each has one group.

    Args:
        packed: groups of each micro-batch.
        sizes: tokens of each group [groups].
        number: of micro-batches, not fewer than there are.
    """
    divided = [list(batch) for batch in packed]

    def tokens(place: int) -> int:
        return int(sizes[divided[place]].sum())

    while len(divided) < number:
        several = [place for place, batch in enumerate(divided) if len(batch) > 1]
        if not several:
            break
        batch = divided.pop(max(several, key=tokens))
        divided += [[batch[row] for row in half] for half in spread(sizes[batch].tolist(), 2)]
    return sorted(divided, key=lambda batch: (-int(sizes[batch].sum()), batch))
