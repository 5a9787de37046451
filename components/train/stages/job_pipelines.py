"""The pipelines of a job: which processes and layers each has, and which micro-batches of a step it computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

from components.train.stages.settings import StageSettings

Each = TypeVar("Each")


@dataclass(frozen=True)
class JobPipeline:
    """One of them.

    Attributes:
        ranks: its processes, in the order of stages.
        spans: the layers [first, end) of each stage; stage i is on its process i modulo processes.
        begin: number of its first micro-batch in a step.
        end: number of the first one after it.
    """

    ranks: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    begin: int
    end: int

    @property
    def micro_batches(self) -> int:
        """Its micro-batches of a step."""
        return self.end - self.begin

    @property
    def last_rank(self) -> int:
        """The process of the last stage, which has the loss."""
        return self.ranks[(len(self.spans) - 1) % len(self.ranks)]

    def stages_of(self, rank: int) -> range:
        """The numbers of a process's stages."""
        return range(self.ranks.index(rank), len(self.spans), len(self.ranks))

    def part_of(self, micro_batches: Sequence[Each]) -> Sequence[Each]:
        """Its part of a step's micro-batches."""
        return micro_batches[self.begin : self.end]


def make_pipelines(stages: StageSettings, counts: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[JobPipeline]:
    """The equal pipelines of a job.

    Args:
        stages: the training's.
        counts: processes of each kind of device, kind by kind; every pipeline has as many of a kind. Kinds that cannot
            be divided so are taken for one.
        spans: the layers of each stage of a pipeline.
    """
    if any(count % stages.pipelines for count in counts):
        counts = [sum(counts)]
    firsts = [0, *accumulate(counts)]
    ends = list(accumulate(stages.shares()))
    return [
        JobPipeline(_ranks(number, stages.pipelines, counts, firsts), tuple(spans), begin, end)
        for number, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True))
    ]


def _ranks(number: int, pipelines: int, counts: Sequence[int], firsts: Sequence[int]) -> tuple[int, ...]:
    """The processes of a pipeline: of each kind consecutive ones, so that neighbours are in one machine."""
    return tuple(
        first + place
        for first, count in zip(firsts, counts, strict=False)
        for place in range(number * count // pipelines, (number + 1) * count // pipelines)
    )
