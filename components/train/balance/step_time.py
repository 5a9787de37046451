"""How long a training step takes, in closed form: pipelines under 1F1B, and the reduction of gradients over a ring.

Pipelines: Huang and others, GPipe, arXiv 1811.06965, section 3.2, and Narayanan and others, arXiv 1806.03377 (1F1B) and
2104.04473, section 2.2: with S equal stages of t seconds, m micro-batches take (m + S - 1) t. Where stages differ, the
slowest determines the rate and every stage is passed once: (m - 1) max t + sum t, which is the same for equal ones.
The ring: Patarasuk and Yuan, J. Parallel Distrib. Comput. 69 (2009): 2 (D - 1) messages of 1 / D of the bytes. There is
one for each layer, over the devices that hold it. A device takes part in one at a time, from its last layer to its
first, so rings follow each other through pipelines that are cut in different places, up to all layers in turn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

from components.train.balance.devices import Fleet, Link

SLACK = 1e-9
"""Relative: a micro-batch that would end so little after the step does not end after it."""


@dataclass(frozen=True)
class PipelineTimes:
    """What a pipeline's time depends on.

    Attributes:
        slowest: seconds of the slowest stage for one micro-batch.
        passing: seconds of all stages together: one micro-batch from the first stage to the last and back.
    """

    slowest: float
    passing: float

    def seconds(self, micro_batches: int) -> float:
        """Time of so many micro-batches, at least one."""
        return self.passing + (micro_batches - 1) * self.slowest

    def micro_batches(self, seconds: float) -> int:
        """Most micro-batches in that time."""
        return max(0, int((seconds * (1 + SLACK) - self.passing) // self.slowest) + 1)


def ring_seconds(size: float, devices: int, link: Link) -> float:
    """Time in which each of these devices gets the sum of all their `size` bytes."""
    return 2 * (devices - 1) * link.seconds(size / devices) if devices > 1 else 0.0


@dataclass(frozen=True)
class HeldStage:
    """One stage of equal pipelines, as the reduction of gradients sees it.

    Attributes:
        kind: number of its device's kind.
        end: the first layer after it.
        seconds: when it has ended its passes.
    """

    kind: int
    end: int
    seconds: float


def stage_ends(end: float, backward: Sequence[float]) -> list[float]:
    """When each stage of a pipeline has ended its passes, at the latest: one backward pass after the other.

    Args:
        end: when the first stage has, which is the last one to do so.
        backward: seconds of each stage's backward pass, until its gradients are with the stage before.
    """
    ends = [end]
    for before in backward[:-1]:
        ends.append(ends[-1] - before)
    return ends


def reduction_end(
    pipelines: Sequence[Sequence[HeldStage]], gradient_bytes: Sequence[int], number: int, fleet: Fleet
) -> float:
    """When all gradients are summed.

    Args:
        pipelines: the stages of each different one, from the first layers to the last.
        gradient_bytes: of each layer.
        number: of all pipelines, equal ones too.
        fleet: the devices' links.
    """
    free = [[stage.seconds for stage in stages] for stages in pipelines]
    holders = [len(stages) - 1 for stages in pipelines]
    if number > 1:
        for layer in reversed(range(len(gradient_bytes))):
            for place, stages in enumerate(pipelines):
                while holders[place] and layer < stages[holders[place] - 1].end:
                    holders[place] -= 1
            kinds = {stages[holder].kind for stages, holder in zip(pipelines, holders, strict=True)}
            begin = max(ends[holder] for ends, holder in zip(free, holders, strict=True))
            end = begin + ring_seconds(gradient_bytes[layer], number, fleet.ring_link(kinds, number))
            for ends, holder in zip(free, holders, strict=True):
                ends[holder] = end
    return max(max(ends) for ends in free)


def earliest_end(pipelines: Sequence[tuple[PipelineTimes, int]], micro_batches: int) -> float:
    """A lower bound of the time in which pipelines process so many micro-batches: as if these were divisible.

    Args:
        pipelines: times, and how many pipelines have them.
        micro_batches: of all pipelines together; each gets at least one.
    """
    rate = sum(copies / times.slowest for times, copies in pipelines)
    started = sum(copies * (times.passing / times.slowest - 1) for times, copies in pipelines)
    return max((micro_batches + started) / rate, *(times.passing for times, _ in pipelines))


def deal_micro_batches(pipelines: Sequence[tuple[PipelineTimes, int]], micro_batches: int) -> list[list[int]]:
    """The micro-batches of each pipeline, so that the last one ends as early as possible.

    All but the last few are dealt by the bound above, which is never too many; each of the rest goes to the pipeline
    that is the first to end with it: an exchange shows that no other deal ends earlier.

    Args:
        pipelines: times, and how many pipelines have them.
        micro_batches: of all pipelines together, at least one for each.

    Returns:
        A list for each entry of `pipelines`, with the micro-batches of each of its copies.
    """
    bound = earliest_end(pipelines, micro_batches) * (1 - 2 * SLACK)
    dealt = [[max(1, times.micro_batches(bound))] * copies for times, copies in pipelines]
    _take_back(pipelines, dealt, sum(map(sum, dealt)) - micro_batches)
    next_to_end = list(_next_ends(pipelines, dealt))
    heapify(next_to_end)
    for _ in range(micro_batches - sum(map(sum, dealt))):
        _, entry, copy = next_to_end[0]
        dealt[entry][copy] += 1
        heapreplace(next_to_end, (pipelines[entry][0].seconds(dealt[entry][copy] + 1), entry, copy))
    return dealt


def _take_back(pipelines: Sequence[tuple[PipelineTimes, int]], dealt: list[list[int]], excess: int) -> None:
    """Where a slow pipeline's single micro-batch determines the end, the others may have been dealt too many."""
    for _ in range(max(0, excess)):
        spare = [
            (pipelines[entry][0].seconds(number), -entry, -copy)
            for entry, numbers in enumerate(dealt)
            for copy, number in enumerate(numbers)
            if number > 1
        ]
        _, entry, copy = max(spare)
        dealt[-entry][-copy] -= 1


def _next_ends(
    pipelines: Sequence[tuple[PipelineTimes, int]], dealt: Sequence[Sequence[int]]
) -> Iterator[tuple[float, int, int]]:
    for entry, ((times, _), numbers) in enumerate(zip(pipelines, dealt, strict=True)):
        yield from ((times.seconds(number + 1), entry, copy) for copy, number in enumerate(numbers))
