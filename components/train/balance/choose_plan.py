"""Chooses pipelines and data parallelism over unequal devices: the least predicted time of an optimizer step.

Every arrangement of `layouts.py` is partitioned by dynamic programming (`partition.py`); micro-batches are dealt so
that pipelines end together, and each layer's gradients are reduced over a ring of all pipelines as devices become free.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product

from components.shared.errors import SettingsError
from components.train.balance.devices import Fleet
from components.train.balance.layers import LayerCost, cost_tables
from components.train.balance.layouts import divisions, equal_pipelines, numbers_of_pipelines
from components.train.balance.partition import PartitionTable, Stage, stage_times, stages_fit
from components.train.balance.plan import MixedPlan, PipelinePlan, PlanComparison, SplitName, StagePlan
from components.train.balance.step_time import (
    HeldStage,
    PipelineTimes,
    deal_micro_batches,
    earliest_end,
    reduction_end,
    stage_ends,
)

MOST_STAGES = 16
"""Of a pipeline, by default: more stages mean more time to fill it."""
MATTERS = 0.01
"""Relative gain without memory limits from which memory is what binds."""
Block = tuple[int, ...]


@dataclass(frozen=True)
class PipelineClass:
    """Equal pipelines of an arrangement.

    Attributes:
        stages: of each.
        copies: how many there are.
        times: what a micro-batch takes.
        backward: seconds of each stage's backward pass, until its gradients are with the stage before.
    """

    stages: tuple[Stage, ...]
    copies: int
    times: PipelineTimes
    backward: tuple[float, ...]

    def held(self, micro_batches: int) -> list[HeldStage]:
        """The stages with the times at which they have ended so many micro-batches."""
        ends = stage_ends(self.times.seconds(micro_batches), self.backward)
        return [HeldStage(stage.kind, stage.end, end) for stage, end in zip(self.stages, ends, strict=True)]


@dataclass(frozen=True)
class Arrangement:
    """Pipelines that train together, and a lower bound of a step's seconds."""

    classes: tuple[PipelineClass, ...]
    bound_seconds: float

    @property
    def number(self) -> int:
        """How many pipelines there are."""
        return sum(each.copies for each in self.classes)

    @property
    def timed(self) -> list[tuple[PipelineTimes, int]]:
        """Times and copies, for dealing micro-batches."""
        return [(each.times, each.copies) for each in self.classes]


class PlanSearch:
    """Searches the plans for one model on one fleet.

    Args:
        layers: measured costs.
        fleet: the devices.
        micro_batches: of an optimizer step, all pipelines together.
        most_stages: of a pipeline.
    """

    def __init__(
        self, layers: Sequence[LayerCost], fleet: Fleet, micro_batches: int, most_stages: int = MOST_STAGES
    ) -> None:
        self._layers, self._fleet, self._micro_batches = layers, fleet, micro_batches
        self._most_stages = min(most_stages, len(layers))
        self._costs = cost_tables(layers, fleet)
        self._tables: dict[tuple[Block, bool], PartitionTable] = {}

    def compare(self) -> PlanComparison:
        """The best balanced plan and the best even one. Raises SettingsError where no plan fits."""
        balanced = self.best("balanced")
        if balanced is None:
            raise self._refusal()
        return PlanComparison(balanced=balanced, even=self.best("even"))

    def best(self, split: SplitName) -> MixedPlan | None:
        """The plan with the least predicted time; None where none fits. The first found, where several are equal."""
        best: tuple[float, Arrangement, list[list[int]]] | None = None
        for arrangement in sorted(self._arrangements(split), key=lambda each: each.bound_seconds):
            if best and arrangement.bound_seconds >= best[0]:
                break
            dealt = self._deal(arrangement, split)
            seconds = self._reduced(arrangement, dealt)
            if best is None or seconds < best[0]:
                best = (seconds, arrangement, dealt)
        return self._document(split, best[1], best[2]) if best else None

    @cached_property
    def _kinds(self) -> range:
        return range(len(self._fleet.kinds))

    def _arrangements(self, split: SplitName) -> Iterator[Arrangement]:
        found: dict[Block, list[tuple[PipelineClass, ...]]] = {}
        for blocks in divisions(self._kinds):
            for block in blocks:
                if block not in found:
                    found[block] = list(self._of_block(block, split))
            for chosen in product(*(found[block] for block in blocks)):
                classes = tuple(each for of_block in chosen for each in of_block)
                if sum(each.copies for each in classes) <= self._micro_batches:
                    yield self._arrangement(classes, split)

    def _of_block(self, block: Block, split: SplitName) -> Iterator[tuple[PipelineClass, ...]]:
        """The block's devices as one number of pipelines or another, those that fit."""
        counts = [self._fleet.kinds[kind].count for kind in block]
        for pipelines in numbers_of_pipelines(counts, self._most_stages):
            classes = [
                (self._stages(block, used, split), copies) for used, copies in equal_pipelines(counts, pipelines)
            ]
            if all(stages for stages, _ in classes):
                yield tuple(self._class(stages, copies) for stages, copies in classes)

    def _stages(self, block: Block, used: Sequence[int], split: SplitName) -> tuple[Stage, ...]:
        """The stages of a pipeline with these devices; none where they do not fit."""
        if sum(used) > self._most_stages:
            return ()
        if split == "balanced":
            found = self._table(block).partition(used)
            return tuple(Stage(block[each.kind], each.first, each.end) for each in found.stages) if found else ()
        stages = _even_stages(
            len(self._layers), [kind for kind, copies in zip(block, used, strict=True) for _ in range(copies)]
        )
        return stages if stages_fit(self._costs, stages, len(stages)) else ()

    def _table(self, block: Block, limited: bool = True) -> PartitionTable:
        if (block, limited) not in self._tables:
            costs = self._costs.of_kinds(block)
            counts = [self._fleet.kinds[kind].count for kind in block]
            self._tables[block, limited] = PartitionTable(
                costs if limited else costs.without_memory_limit(), counts, self._most_stages
            )
        return self._tables[block, limited]

    def _class(self, stages: tuple[Stage, ...], copies: int) -> PipelineClass:
        times = stage_times(self._costs, stages)
        both = [computing + moving for computing, moving in times]
        # Half of what crosses a boundary is gradients, which the stage after it sends.
        sent = [0.0, *(moving / 2 for _, moving in times[:-1])]
        backward = tuple(self._backward_seconds(stage) + one for stage, one in zip(stages, sent, strict=True))
        return PipelineClass(stages, copies, PipelineTimes(max(both), sum(both)), backward)

    def _backward_seconds(self, stage: Stage) -> float:
        name = self._fleet.names[stage.kind]
        return sum(layer.backward_seconds[name] for layer in self._layers[stage.first : stage.end])

    def _arrangement(self, classes: tuple[PipelineClass, ...], split: SplitName) -> Arrangement:
        timed = [(each.times, each.copies) for each in classes]
        if split == "balanced":
            end = earliest_end(timed, self._micro_batches)
        else:
            number = sum(copies for _, copies in timed)
            end = max(times.seconds(self._micro_batches // number) for times, _ in timed)
        return Arrangement(classes, end)

    def _reduced(self, arrangement: Arrangement, dealt: Sequence[Sequence[int]]) -> float:
        """When all gradients of a step are summed."""
        held = [each.held(max(numbers)) for each, numbers in zip(arrangement.classes, dealt, strict=True)]
        return reduction_end(held, [layer.gradient_bytes for layer in self._layers], arrangement.number, self._fleet)

    def _deal(self, arrangement: Arrangement, split: SplitName) -> list[list[int]]:
        if split == "balanced":
            return deal_micro_batches(arrangement.timed, self._micro_batches)
        each, more = divmod(self._micro_batches, arrangement.number)
        dealt = iter([each + (place < more) for place in range(arrangement.number)])
        return [[next(dealt) for _ in range(copies)] for _, copies in arrangement.timed]

    def _document(self, split: SplitName, arrangement: Arrangement, dealt: Sequence[Sequence[int]]) -> MixedPlan:
        pipelines = [
            PipelinePlan(copies=len(list(equal)), micro_batches=number, stages=self._stage_plans(each.stages))
            for each, numbers in zip(arrangement.classes, dealt, strict=True)
            for number, equal in groupby(sorted(numbers, reverse=True))
        ]
        used = [stage.kind for each in arrangement.classes for stage in each.stages * each.copies]
        left = {kind.name: kind.count - used.count(number) for number, kind in enumerate(self._fleet.kinds)}
        slowest = max(pipelines, key=lambda each: each.seconds)
        reducing = self._reduced(arrangement, dealt) - slowest.seconds
        return MixedPlan(
            split=split,
            pipelines=tuple(pipelines),
            all_reduce_seconds=max(0.0, reducing),
            idle={name: count for name, count in left.items() if count},
            bound=self._bound(slowest, reducing, split),
        )

    def _stage_plans(self, stages: Sequence[Stage]) -> tuple[StagePlan, ...]:
        times = stage_times(self._costs, stages)
        return tuple(self._stage_plan(stage, len(stages) - place, *times[place]) for place, stage in enumerate(stages))

    def _stage_plan(self, stage: Stage, in_flight: int, computing: float, moving: float) -> StagePlan:
        kind, layers = self._fleet.kinds[stage.kind], self._layers[stage.first : stage.end]
        return StagePlan(
            kind=kind.name,
            first=stage.first,
            end=stage.end,
            compute_seconds=computing,
            transfer_seconds=moving,
            memory_bytes=sum(layer.state_bytes + in_flight * layer.activation_bytes for layer in layers),
            memory_limit_bytes=kind.memory_bytes,
        )

    def _bound(self, pipeline: PipelinePlan, all_reduce_seconds: float, split: SplitName) -> str:
        """What determines the time of the pipeline that is the last to end."""
        times, stage = pipeline.times, max(pipeline.stages, key=lambda each: each.seconds)
        parts = {
            "reducing gradients": all_reduce_seconds,
            "filling the pipeline": times.passing - times.slowest,
            "the slowest stage": pipeline.micro_batches * times.slowest,
        }
        largest = max(parts, key=lambda name: parts[name])
        if largest != "the slowest stage":
            return largest
        where = f"{stage.kind}, layers {stage.first} to {stage.end - 1}"
        if stage.transfer_seconds > stage.compute_seconds:
            return f"transfers: {where}"
        gain = self._gain_without_limits(pipeline) if split == "balanced" else 0.0
        if gain > MATTERS:
            return f"memory: without limits the slowest stage is {gain:.0%} faster ({where})"
        return f"one layer, which is not divided: {where}" if stage.end - stage.first == 1 else f"computing: {where}"

    def _gain_without_limits(self, pipeline: PipelinePlan) -> float:
        """How much faster the slowest stage of this pipeline's devices is with unlimited memory, as a share."""
        used = [self._fleet.names.index(stage.kind) for stage in pipeline.stages]
        block = tuple(sorted(set(used)))
        unlimited = self._table(block, limited=False).slowest_seconds([used.count(kind) for kind in block])
        return 1 - unlimited / pipeline.times.slowest

    def _refusal(self) -> SettingsError:
        needed = sum(layer.state_bytes + layer.activation_bytes for layer in self._layers)
        held = sum(kind.count * kind.memory_bytes for kind in self._fleet.kinds)
        return SettingsError(
            f"no pipelines of at most {self._most_stages} stages hold the model in {self._micro_batches} "
            "micro-batches: "
            f"it needs {needed / 2**30:.1f} GiB, and the devices have {held / 2**30:.1f} GiB together",
            rule="each stage holds its layers' state and the activations of its micro-batches in flight, and each "
            "pipeline has at least one micro-batch",
            remedy="shorten micro-batches, recompute activations, allow more stages, or raise global_batch",
        )


def _ends(arrangement: Arrangement, dealt: Sequence[Sequence[int]]) -> float:
    """When the last pipeline ends."""
    return max(each.times.seconds(max(numbers)) for each, numbers in zip(arrangement.classes, dealt, strict=True))


def _even_stages(layers: int, kinds: Sequence[int]) -> tuple[Stage, ...]:
    """Stages whose numbers of layers differ by at most one, on devices in this order."""
    each, more = divmod(layers, len(kinds))
    edges = [place * each + min(place, more) for place in range(len(kinds) + 1)]
    return tuple(Stage(kind, edges[place], edges[place + 1]) for place, kind in enumerate(kinds))
