"""Cuts a model's layers into pipeline stages so that the slowest stage is as fast as possible, by dynamic programming.

A stage is one device and a span of layers. Its time for a micro-batch is that of both passes, and of the transfers over
the boundary to the next stage. Under 1F1B (Narayanan and others, arXiv 2104.04473, section 2.2) a stage with n stages
after it holds the activations of n + 1 micro-batches, so stages are found from the last to the first.

A state is the first layer of the stages found, the devices used of each kind, and the kind of the first stage: devices
of one kind are interchangeable, so all orders of kinds are compared exactly. With L layers, K kinds and c devices of
each, there are L (c + 1)^K K states and at most L K choices in each: O(L² K² (c + 1)^K) steps, vectorised over states.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from components.train.balance.layers import UNLIMITED, CostTables

FIRST_LIMIT, NEXT_LIMIT = 1.3, 2.0
"""The first limit of a stage's time, relative to perfectly divisible work, and the factor to the next."""
TIE = 1e-12
"""Relative difference of two times below which they are equal."""


@dataclass(frozen=True)
class Stage:
    """One device of a pipeline, by its kind's number, and its span of layers [first, end)."""

    kind: int
    first: int
    end: int


@dataclass(frozen=True)
class Partition:
    """A pipeline's stages from the first to the last, and the seconds of the slowest for a micro-batch."""

    stages: tuple[Stage, ...]
    slowest_seconds: float


def stage_times(costs: CostTables, stages: Sequence[Stage]) -> list[tuple[float, float]]:
    """Seconds of computing and of transfers for one micro-batch, by stage.

    What crosses a boundary is charged to the stage before it.
    """
    after = [*stages[1:], None]
    return [
        (
            float(costs.compute[stage.kind, stage.first, stage.end]),
            float(costs.transfer[stage.kind, following.kind, stage.end]) if following else 0.0,
        )
        for stage, following in zip(stages, after, strict=True)
    ]


def busy_seconds(costs: CostTables, stages: Sequence[Stage]) -> list[float]:
    """Seconds for which one micro-batch keeps each stage busy: computing, and the transfers over both its boundaries.

    torch's schedules send a micro-batch's states and receive another one's gradients at once, and go on when both are
    done, so the devices on both sides of a boundary wait for what crosses it.
    """
    times = stage_times(costs, stages)
    before = [0.0, *(moving for _, moving in times[:-1])]
    return [computing + moving + earlier for (computing, moving), earlier in zip(times, before, strict=True)]


def stages_fit(costs: CostTables, stages: Sequence[Stage], micro_batches: int) -> bool:
    """Whether every stage's state and activations in flight fit its device's memory."""
    return all(
        costs.in_flight[stage.kind, stage.first, stage.end] >= min(micro_batches, len(stages) - place)
        for place, stage in enumerate(stages)
    )


class PartitionTable:
    """The best partitions for all numbers of devices of each kind up to given ones.

    Args:
        costs: of the layers.
        counts: most devices of each kind.
        most_stages: of a pipeline; none has more stages than the model has layers.
        micro_batches: of a step, which bound those in flight; by default as many as the stages allow.
        limit_seconds: stages that compute for longer are left out, so partitions up to this time are the best, and
            slower ones need not be.
    """

    def __init__(
        self,
        costs: CostTables,
        counts: Sequence[int],
        most_stages: int = UNLIMITED,
        micro_batches: int = UNLIMITED,
        limit_seconds: float = np.inf,
    ) -> None:
        self._costs = costs
        self._counts = tuple(min(count, most_stages, costs.layers) for count in counts)
        self._most_stages = min(most_stages, costs.layers, sum(self._counts))
        self._micro_batches, self._limit = micro_batches, limit_seconds
        self._grid = tuple(count + 1 for count in self._counts)
        self._steps = [int(np.ravel_multi_index(unit, self._grid)) for unit in np.eye(len(counts), dtype=int)]

    @cached_property
    def _used(self) -> np.ndarray:
        """The devices used of each kind in each state, shape (states, K)."""
        return np.stack(np.unravel_index(np.arange(np.prod(self._grid)), self._grid), axis=1)

    @cached_property
    def _best(self) -> np.ndarray:
        """The slowest stage's seconds, shape (states, K, L + 1), by [devices used, first stage's kind, first layer]."""
        best = np.full((len(self._used), len(self._counts), self._costs.layers + 1), np.inf)
        for kind, step in enumerate(self._steps):
            if self._counts[kind]:
                last = self._costs.compute[kind, :, -1].copy()
                last[(self._costs.in_flight[kind, :, -1] < 1) | (last > self._limit)] = np.inf
                best[step, kind, :-1] = last[:-1]
        total = self._used.sum(axis=1)
        for after in range(1, self._most_stages):
            level = np.flatnonzero(total == after)
            for kind in range(len(self._counts)):
                self._put_before(best, level[self._used[level, kind] < self._counts[kind]], kind, after)
        return best

    def _put_before(self, best: np.ndarray, states: np.ndarray, kind: int, after: int) -> None:
        """Put a stage of a kind before those of these states, each of which has `after` stages."""
        following = best[states]
        reachable = self._costs.layers - after
        for first in range(reachable if len(states) else 0):
            ends = self._ends(kind, first, after)
            if len(ends):
                slowest = np.maximum(following[:, :, ends[0] : ends[-1] + 1], self._times(kind, first, ends))
                best[states + self._steps[kind], kind, first] = slowest.reshape(len(states), -1).min(axis=1)

    def _ends(self, kind: int, first: int, after: int) -> np.ndarray:
        """Where a stage may end that fits its device and the limit, and leaves a layer for each stage after it.

        Both only get worse with each layer, so these are consecutive.
        """
        ends = np.arange(first + 1, self._costs.layers - after + 1)
        held = min(self._micro_batches, after + 1)
        fits = self._costs.in_flight[kind, first, ends] >= held
        return ends[fits & (self._costs.compute[kind, first, ends] <= self._limit)]

    def _times(self, kind: int, first: int, ends: np.ndarray) -> np.ndarray:
        """A stage's seconds by the kind after it and its end, shape (K, ends)."""
        return np.asarray(self._costs.compute[kind, first, ends] + self._costs.transfer[kind][:, ends])

    def slowest_seconds(self, used: Sequence[int]) -> float:
        """Of the best partition over exactly these devices; infinity where none fits."""
        return float(self._best[self._state(used), :, 0].min()) if self._holds(used) else np.inf

    def partition(self, used: Sequence[int]) -> Partition | None:
        """The best partition over exactly these numbers of devices of each kind; None where none fits.

        Among equally good ones, that whose stages after the first are faster, then the first found.
        """
        if self.slowest_seconds(used) == np.inf:
            return None
        state, first = self._state(used), 0
        stages: list[Stage] = []
        kind = int(self._best[state, :, 0].argmin())
        slowest = float(self._best[state, kind, 0])
        for after in range(sum(used) - 1, 0, -1):
            state -= self._steps[kind]
            ends = self._ends(kind, first, after)
            following = self._best[state][:, ends]
            good = np.maximum(following, self._times(kind, first, ends)) <= slowest * (1 + TIE)
            next_kind, place = np.unravel_index(np.where(good, following, np.inf).argmin(), good.shape)
            stages.append(Stage(kind, first, int(ends[place])))
            kind, first = int(next_kind), int(ends[place])
        return Partition((*stages, Stage(kind, first, self._costs.layers)), slowest)

    def best_partition(self) -> Partition | None:
        """The best partition over any of the devices, the fewest where more are no faster; None where none fits."""
        slowest = self._best[:, :, 0].min(axis=1)
        if not np.isfinite(slowest.min()):
            return None
        good = np.flatnonzero(slowest <= slowest.min() * (1 + TIE))
        return self.partition(self._used[good[self._used[good].sum(axis=1).argmin()]].tolist())

    def _holds(self, used: Sequence[int]) -> bool:
        within = all(0 <= one <= most for one, most in zip(used, self._counts, strict=True))
        return within and 0 < sum(used) <= self._most_stages

    def _state(self, used: Sequence[int]) -> int:
        return int(np.ravel_multi_index(tuple(used), self._grid))


def fastest_partition(
    costs: CostTables, counts: Sequence[int], most_stages: int = UNLIMITED, micro_batches: int = UNLIMITED
) -> Partition | None:
    """The best partition over any of these devices; None where none fits.

    As exact as the table without a limit, and several times as fast on many devices: stages slower than a limit are not
    tried, and the limit is raised until a partition within it is found.
    """
    slowest_possible = float(costs.compute[:, 0, -1].max() + costs.transfer.max())
    rate = sum(count / max(float(costs.compute[kind, 0, -1]), TIE) for kind, count in enumerate(counts))
    limit = FIRST_LIMIT / rate
    while True:
        found = PartitionTable(costs, counts, most_stages, micro_batches, limit).best_partition()
        if limit >= slowest_possible or (found is not None and found.slowest_seconds <= limit):
            return found
        limit *= NEXT_LIMIT


def partition_in_order(costs: CostTables, kinds: Sequence[int], micro_batches: int = UNLIMITED) -> Partition | None:
    """The best partition over devices in this order, as the processes of a job have one; None where none fits.

    A stage's time includes the transfers over both its boundaries (`busy_seconds`). Among partitions with the fastest
    slowest stage it has the least sum of squared times: stages that are nearly equal, and longer on faster devices.

    Args:
        costs: of the layers.
        kinds: of each stage's device, by number.
        micro_batches: of a step, which bound those in flight.
    """
    seconds = [_stage_seconds(costs, kinds, place, micro_batches) for place in range(len(kinds))]
    slowest, _ = _cut(seconds, np.maximum)
    if not np.isfinite(slowest):
        return None
    within = [np.where(each <= slowest * (1 + TIE), each**2, np.inf) for each in seconds]
    _, edges = _cut(within, np.add)
    stages = tuple(Stage(kind, *span) for kind, span in zip(kinds, pairwise(edges), strict=True))
    return Partition(stages, slowest)


def _cut(costs: Sequence[np.ndarray], join: np.ufunc) -> tuple[float, list[int]]:
    """The least joined cost of one span for each stage, and the spans' edges.

    Args:
        costs: of each stage by [first, end], shape (L + 1, L + 1).
        join: of the costs of two stages.
    """
    layers = len(costs[0]) - 1
    best, chosen = np.where(np.arange(layers + 1) == layers, 0.0, np.inf), list[np.ndarray]()
    for of_stage in reversed(costs):
        joined = join(of_stage, best)
        chosen.insert(0, joined.argmin(axis=1))
        best = joined.min(axis=1)
    edges = [0]
    for ends in chosen:
        edges.append(int(ends[edges[-1]]))
    return float(best[0]), edges


def _stage_seconds(costs: CostTables, kinds: Sequence[int], place: int, micro_batches: int) -> np.ndarray:
    """Seconds of a stage by [first, end], shape (L + 1, L + 1); infinity where it is empty or does not fit."""
    kind, before, after = kinds[place], kinds[:place], kinds[place + 1 : place + 2]
    seconds = costs.compute[kind] + (costs.transfer[kind, after[0]] if after else 0.0)
    if before:
        seconds = seconds + costs.transfer[before[-1], kind][:, None]
    fits = costs.in_flight[kind] >= min(micro_batches, len(kinds) - place)
    return np.where(np.triu(fits, k=1), seconds, np.inf)
