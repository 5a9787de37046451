"""The plan of a training over unequal devices: a document with predicted times and memory, which prints as a table."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Literal

from pydantic import Field

from components.shared.settings import Settings
from components.train.balance.step_time import PipelineTimes

GIB = 2**30
SplitName = Literal["balanced", "even"]
HEAD = (
    "split",
    "pipelines",
    "micro-batches of each",
    "stages: layers and GiB of each",
    "slowest stage, s",
    "pipeline, s",
    "all-reduce, s",
    "step, s",
    "bound by",
)


class StagePlan(Settings):
    """One device of a pipeline and the layers that it computes."""

    kind: str = Field(description="kind of device")
    first: int = Field(ge=0, description="number of its first layer")
    end: int = Field(ge=1, description="number of the first layer after it")
    compute_seconds: float = Field(ge=0, description="predicted: both passes of one micro-batch")
    transfer_seconds: float = Field(ge=0, description="predicted: over the boundary to the next stage, there and back")
    memory_bytes: int = Field(ge=0, description="predicted: state, and activations of the micro-batches in flight")
    memory_limit_bytes: int = Field(gt=0, description="what the device has")

    @property
    def seconds(self) -> float:
        """Time of one micro-batch."""
        return self.compute_seconds + self.transfer_seconds


class PipelinePlan(Settings):
    """Equal pipelines: each has these stages, on devices of its own, and the same number of micro-batches."""

    copies: int = Field(ge=1, description="pipelines")
    micro_batches: int = Field(ge=1, description="of each in an optimizer step")
    stages: tuple[StagePlan, ...] = Field(min_length=1, description="from the first layers to the last")

    @property
    def times(self) -> PipelineTimes:
        """What its time depends on."""
        seconds = [stage.seconds for stage in self.stages]
        return PipelineTimes(max(seconds), sum(seconds))

    @property
    def seconds(self) -> float:
        """Predicted time of its micro-batches."""
        return self.times.seconds(self.micro_batches)

    def stages_in_words(self) -> str:
        """Such as `2 × A10: 4, 4 (12, 9 of 19 GiB); H100: 20 (61 of 63 GiB)`."""
        runs = groupby(self.stages, key=lambda stage: (stage.kind, stage.memory_limit_bytes))
        return "; ".join(_run_in_words(kind, limit, list(stages)) for (kind, limit), stages in runs)


class MixedPlan(Settings):
    """Pipelines that train together, each with a part of a step's micro-batches; gradients are summed over all."""

    split: SplitName = Field(description="balanced by measured costs, or equal layers and micro-batches for all")
    pipelines: tuple[PipelinePlan, ...] = Field(min_length=1, description="equal pipelines together")
    all_reduce_seconds: float = Field(ge=0, description="predicted: gradients over rings, after the last pipeline")
    idle: dict[str, int] = Field(
        description="devices by kind that the plan leaves out, since it is no faster with them"
    )
    bound: str = Field(description="what determines the predicted time of a step")

    @property
    def micro_batches(self) -> int:
        """Of an optimizer step, over all pipelines."""
        return sum(each.copies * each.micro_batches for each in self.pipelines)

    @property
    def number(self) -> int:
        """How many pipelines there are."""
        return sum(each.copies for each in self.pipelines)

    @property
    def step_seconds(self) -> float:
        """Predicted time of an optimizer step, without the update: the slowest pipeline, then the reduction."""
        return max(each.seconds for each in self.pipelines) + self.all_reduce_seconds

    def rows(self) -> Iterator[list[str]]:
        """Rows of the table: one for each entry of `pipelines`, and one for devices that are left out."""
        for place, each in enumerate(self.pipelines):
            yield [
                "" if place else self.split,
                str(each.copies),
                str(each.micro_batches),
                each.stages_in_words(),
                f"{each.times.slowest:.4f}",
                f"{each.seconds:.3f}",
                *(
                    ["", "", ""]
                    if place
                    else [f"{self.all_reduce_seconds:.3f}", f"{self.step_seconds:.3f}", self.bound]
                ),
            ]
        if self.idle:
            yield ["", "idle", "", _counted(self.idle), *[""] * 5]


class PlanComparison(Settings):
    """The balanced plan beside the even one."""

    balanced: MixedPlan = Field(description="the plan with the least predicted time")
    even: MixedPlan | None = Field(description="the fastest with equal layers and micro-batches; None where none fits")

    def __str__(self) -> str:
        """A table in Markdown."""
        rows = [*self.balanced.rows(), *(self.even.rows() if self.even else [_no_even_plan()])]
        lines = [list(HEAD), ["---"] * len(HEAD), *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _no_even_plan() -> list[str]:
    return ["even", "none", "", "equal layers fit the memory in no layout", *[""] * 5]


def _run_in_words(kind: str, limit: int, stages: Sequence[StagePlan]) -> str:
    """Consecutive stages on devices of one kind."""
    name = f"{len(stages)} × {kind}" if len(stages) > 1 else kind
    layers = ", ".join(str(stage.end - stage.first) for stage in stages)
    memory = ", ".join(f"{stage.memory_bytes / GIB:.0f}" for stage in stages)
    return f"{name}: {layers} ({memory} of {limit / GIB:.0f} GiB)"


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in numbers.items())
