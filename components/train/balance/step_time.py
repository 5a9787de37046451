"""How long a training step takes, in closed form: pipelines under 1F1B, and the reduction of gradients over a ring.

Pipelines: Huang and others, GPipe, arXiv 1811.06965, section 3.2, and Narayanan and others, arXiv 1806.03377 (1F1B) and
2104.04473, section 2.2: with S equal stages of t seconds, m micro-batches take (m + S - 1) t. Where stages differ, the
slowest determines the rate and every stage is passed once: (m - 1) max t + sum t, which is the same for equal ones.
The ring: Patarasuk and Yuan, J. Parallel Distrib. Comput. 69 (2009): 2 (D - 1) messages of 1 / D of the bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

from components.train.balance.devices import Link

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
