"""Deals the rows of one optimizer step to ranks of unequal speed so that the slowest rank ends early.

Scheduling on uniform machines (Q || Cmax): longest first, each group of rows to the rank that is the first to end with
it, which takes less than twice the least possible time (Gonzalez, Ibarra and Sahni, SIAM J. Comput. 6, 1977); then
groups of the slowest rank move to other ranks or change places with theirs while that makes it end earlier.

What a step's rows are is decided before: they are dealt, never chosen, so a step learns the same on any ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from components.shared.errors import SettingsError
from components.train.balance.shares import RankSpeed

GAIN = 1e-9
"""Relative gain below which groups are not exchanged."""


@dataclass(frozen=True)
class DealtStep:
    """An optimizer step, dealt to ranks.

    Attributes:
        micro_batches: by rank, then micro-batch: the numbers of its rows. Ranks may have different numbers of
            micro-batches; ZeRO stages 2 and 3 communicate in each of them, so they need equal numbers.
        tokens: by rank.
        seconds: by rank, at its speed, with its fixed time.
        ideal_seconds: a lower bound: all tokens at the speed of all ranks together.
    """

    micro_batches: tuple[tuple[tuple[int, ...], ...], ...]
    tokens: tuple[int, ...]
    seconds: tuple[float, ...]
    ideal_seconds: float

    @property
    def ratio(self) -> float:
        """Time of the slowest rank to the lower bound."""
        return max(self.seconds) / self.ideal_seconds

    def __str__(self) -> str:
        """One line for a log."""
        return (
            f"slowest rank {max(self.seconds):.4g} s, {self.ratio:.3f} of the bound {self.ideal_seconds:.4g} s; "
            f"{sum(self.tokens):,} tokens on {len(self.tokens)} ranks"
        )


def deal_step(
    lengths: Sequence[int], ranks: Sequence[RankSpeed], groups: Sequence[int] | None = None, *, even: bool = False
) -> DealtStep:
    """Deal a step's rows to ranks; the same arguments give the same result.

    Args:
        lengths: tokens of each row; a pair of DPO is one row.
        ranks: their speeds and memory.
        groups: for each row the number of its group, whose rows stay in one micro-batch, such as those that estimate
            KTO's reference point together; without it, each row is a group.
        even: deal as if all ranks were equally fast, for comparison.

    Raises:
        SettingsError: there are fewer groups than ranks, or a rank cannot hold a group.
    """
    members = _members(len(lengths), groups)
    tokens = np.array([sum(lengths[row] for row in group) for group in members], dtype=np.int64)
    _check(members, tokens, ranks)
    speeds = np.array([rank.tokens_a_second for rank in ranks])
    fixed = np.array([rank.fixed_seconds for rank in ranks])
    owner = deal_groups(tokens, np.ones_like(speeds)) if even else deal_groups(tokens, speeds, fixed)
    loads = np.bincount(owner, weights=tokens, minlength=len(ranks))
    return DealtStep(
        tuple(_packed(np.flatnonzero(owner == place), tokens, members, rank) for place, rank in enumerate(ranks)),
        tuple(int(load) for load in loads),
        tuple((fixed + loads / speeds).tolist()),
        float(tokens.sum() / speeds.sum()),
    )


def deal_groups(tokens: np.ndarray, speeds: np.ndarray, fixed: np.ndarray | None = None) -> np.ndarray:
    """The rank of each group of rows [groups], at least one group for each.

    Args:
        tokens: of each group [groups]; not fewer groups than ranks.
        speeds: tokens a second of each rank, or in proportion to that [ranks].
        fixed: seconds of each rank beside its tokens [ranks]; None: 0.
    """
    # A rank's fixed time is that of so many tokens, which it has before any is dealt.
    before = np.zeros(len(speeds)) if fixed is None else fixed * speeds
    owner = _longest_first(tokens, speeds, before)
    _exchange(tokens, owner, speeds, before)
    return owner


def _members(rows: int, groups: Sequence[int] | None) -> list[tuple[int, ...]]:
    """The rows of each group."""
    if groups is None:
        return [(row,) for row in range(rows)]
    ordered = sorted(range(rows), key=lambda row: groups[row])
    return [tuple(found) for _, found in groupby(ordered, key=lambda row: groups[row])]


def _check(members: Sequence[Sequence[int]], tokens: np.ndarray, ranks: Sequence[RankSpeed]) -> None:
    if not ranks or len(members) < len(ranks):
        raise SettingsError(
            f"{len(members)} groups of rows in a step, and {len(ranks)} ranks",
            rule="every rank computes at least one group of rows in each optimizer step",
            remedy="raise global_batch, or train on fewer ranks",
        )
    least = min(ranks, key=lambda rank: rank.most_tokens)
    largest = int(tokens.argmax())
    if tokens[largest] > least.most_tokens:
        raise SettingsError(
            f"{least.name} holds {least.most_tokens:,} tokens in a micro-batch, and a group of "
            f"{len(members[largest])} rows has {tokens[largest]:,}",
            rule="every rank can hold every group of rows that stay together",
            remedy="lower max_length or the rows of a group, or leave the device out",
        )


def _longest_first(tokens: np.ndarray, speeds: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The rank of each group: longest first, to the rank that is the first to end with it; at least one for each."""
    owner, loads = np.empty(len(tokens), dtype=np.int64), before.copy()
    for group in np.argsort(-tokens, kind="stable"):
        owner[group] = ((loads + tokens[group]) / speeds).argmin()
        loads[owner[group]] += tokens[group]
    for rank in np.flatnonzero(np.bincount(owner, minlength=len(speeds)) == 0):
        counts = np.bincount(owner, minlength=len(speeds))
        movable = np.flatnonzero(counts[owner] > 1)
        owner[movable[tokens[movable].argmin()]] = rank
    return owner


def _exchange(tokens: np.ndarray, owner: np.ndarray, speeds: np.ndarray, initial: np.ndarray) -> None:
    """Move groups of the slowest rank, or exchange them for smaller ones, until no such step makes it end earlier.

    Both ranks then end before the slowest did, so the times in descending order get smaller, and this ends.
    """
    loads = initial + np.bincount(owner, weights=tokens, minlength=len(speeds))
    while True:
        slow = int((loads / speeds).argmax())
        before = loads[slow] / speeds[slow]
        mine, others = np.flatnonzero(owner == slow), np.flatnonzero(owner != slow)
        ranks = np.arange(len(speeds)) if len(mine) > 1 else np.empty(0, dtype=np.int64)
        # Moving a group is exchanging it for an empty one.
        partner = np.concatenate([owner[others], ranks[ranks != slow]])
        given = tokens[mine][:, None] - np.concatenate([tokens[others], np.zeros(len(partner) - len(others))])
        ends = np.maximum((loads[slow] - given) / speeds[slow], (loads[partner] + given) / speeds[partner])
        if not ends.size or ends.min() >= before * (1 - GAIN):
            return
        place, chosen = np.unravel_index(ends.argmin(), ends.shape)
        owner[mine[place]] = partner[chosen]
        if chosen < len(others):
            owner[others[chosen]] = slow
        loads[slow] -= given[place, chosen]
        loads[partner[chosen]] += given[place, chosen]


def _packed(
    groups: np.ndarray, tokens: np.ndarray, members: Sequence[tuple[int, ...]], rank: RankSpeed
) -> tuple[tuple[int, ...], ...]:
    """A rank's groups in micro-batches within its memory: longest first, each into the first that has room."""
    free: list[int] = []
    filled: list[list[int]] = []
    for group in groups[np.argsort(-tokens[groups], kind="stable")]:
        place = next((number for number, room in enumerate(free) if room >= tokens[group]), len(free))
        if place == len(free):
            free.append(rank.most_tokens)
            filled.append([])
        free[place] -= int(tokens[group])
        filled[place].extend(members[group])
    return tuple(map(tuple, filled))
