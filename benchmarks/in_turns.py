"""Times two actions in turns on a machine that does other things as well."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Took:
    """Seconds of this process: user and system time of all its threads, and on the clock."""

    processor: float
    wall: float

    def __add__(self, other: "Took") -> "Took":
        return Took(self.processor + other.processor, self.wall + other.wall)


@dataclass(frozen=True)
class InTurns:
    """The medians over all rounds: processor seconds of one call of each, and the ratios of the first to the second.

    `processor_ratios` has that of every round, in order: how far they are apart says how well the median is known.
    """

    ours_processor_seconds: float
    theirs_processor_seconds: float
    processor_ratio: float
    wall_ratio: float
    processor_ratios: tuple[float, ...]


def time_in_turns(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> InTurns:
    """Call both once, then in rounds of ours, theirs, theirs, ours: what slows down steadily meets both alike.

    Processor time leaves out what other processes took; the wall ratio does not, so it is the rougher one.
    """
    ours(), theirs()
    found = list(_rounds(ours, theirs, rounds))
    ratios = [mine.processor / other.processor for mine, other in found]
    return InTurns(
        round(statistics.median(mine.processor / 2 for mine, _ in found), 3),
        round(statistics.median(other.processor / 2 for _, other in found), 3),
        round(statistics.median(ratios), 3),
        round(statistics.median(mine.wall / other.wall for mine, other in found), 3),
        tuple(round(ratio, 3) for ratio in ratios),
    )


def _rounds(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> Iterator[tuple[Took, Took]]:
    for _ in range(rounds):
        first, second, third, fourth = (_time(action) for action in (ours, theirs, theirs, ours))
        yield first + fourth, second + third


def _time(action: Callable[[], Any]) -> Took:
    processor, wall = time.process_time(), time.perf_counter()
    action()
    return Took(time.process_time() - processor, time.perf_counter() - wall)
