"""Plans a training in pipeline stages over devices of one or several kinds, without torch.

Processes keep their order: stage i of S is that of process i, or of process i modulo processes. Equal pipelines beside
each other have as many devices of each kind, and divide a step's micro-batches. Those of a pipeline
take m t + (Σ t - t) b seconds, with t of the slowest process and b the part of the filling that a schedule leaves:
1F1B all of it; interleaved stages, v on each process, 1 / v (Narayanan and others, arXiv 2104.04473, section 2.2.2);
zero-bubble schedules a third of that, as a backward pass is two parts of which one fills idle time (Qi and others,
arXiv 2401.10241, table 1, with parts that are equally long). t has the transfers over both boundaries of a stage, for
which the devices on both sides wait. Where a job has measured layers and links, their seconds replace those that follow
from operations and published rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from components.train.balance.devices import DeviceKind, Fleet, KindLink, Link
from components.train.balance.layers import CostTables, LayerCost, cost_tables
from components.train.balance.measured_costs import with_measured
from components.train.balance.model_layers import StageWork, decoder_layers
from components.train.balance.partition import Stage, busy_seconds, partition_in_order, stage_times
from components.train.balance.stage_layout import DeviceStage, LayoutName, StageLayout
from components.train.balance.step_time import PipelineTimes, ring_seconds
from components.train.memory import FP32_GRADIENT, USABLE, DecoderShape
from components.train.methods.registry import method_of
from components.train.plan_split import GIB, MATTERS, TrainingDevices, device_speed
from components.train.settings import TrainSettings
from components.train.stages.settings import StageSettings, pipelines_of

MICRO_BATCHES_A_STAGE = 4
"""Where a plan chooses them: then filling a pipeline is negligible (GPipe, arXiv 1811.06965, section 2.3)."""
ZERO_BUBBLE = 1 / 3
"""Part of 1F1B's idle time that a zero-bubble schedule leaves."""
INSTANT = Link(bytes_a_second=1e30)
"""Where times are relative, transfers are left out."""


@dataclass(frozen=True)
class StagePlanner:
    """Plans the stages of one training.

    Attributes:
        settings: of the training, with a block of stages.
        shape: of the model.
        devices: in the order of ranks.
        row_positions: of a row in a forward pass, for its time.
        longest: of a row, for its memory.
        length: positions of every micro-batch where they are known; None: by the rows.
    """

    settings: TrainSettings
    shape: DecoderShape
    devices: Sequence[TrainingDevices]
    row_positions: int
    longest: int
    length: int | None = None

    def numbers(self) -> list[int]:
        """Numbers of equal pipelines that a training can have."""
        return [number for number in pipelines_of(self._ranks) if not self.refusal(number)]

    def refusal(self, pipelines: int) -> str:
        """Why so many equal pipelines cannot be; empty where they can."""
        kinds = [each.kind for each in self.devices]
        if any(kind.count % pipelines for kind in kinds):
            devices = ", ".join(f"{kind.count} × {kind.name}" for kind in kinds)
            return f"{pipelines} pipelines cannot have equally many of each kind of device: {devices}"
        block = self.block_of(pipelines)
        try:
            block.spans(self.shape.layers, self._ranks)
            block.check(self._ranks, self.settings.global_batch)
        except ValueError as error:
            return str(error)
        return ""

    def layouts(self, pipelines: int) -> list[StageLayout]:
        """The even and the balanced layout of so many pipelines, and the layers that are given for that number.

        The last one is what a job takes. Where the settings leave it to the estimate, each keeps activations if it fits
        with them.
        """
        recomputed = recomputes(self.settings)
        if recomputed != "auto":
            return self._layouts(pipelines, recomputed=recomputed)
        ways = (self._layouts(pipelines, recomputed=way) for way in (False, True))
        return [kept if kept.fits else again for kept, again in zip(*ways, strict=True)]

    def block_of(self, pipelines: int) -> StageSettings:
        """The settings of so many pipelines, with as many stages on each process; listed layers are of one number."""
        block = self._block
        if pipelines == block.pipelines:
            return block
        on_each = block.number(self._ranks) * block.pipelines // self._ranks
        stages = on_each * self._ranks // pipelines
        return block.model_copy(update={"pipelines": pipelines, "count": stages, "layers": None})

    def _layouts(self, pipelines: int, *, recomputed: bool) -> list[StageLayout]:
        one = self._pipeline(pipelines, recomputed=recomputed)
        given = one.block.layers
        found: dict[LayoutName, tuple[Stage, ...]] = {
            "even": one.spans(_even(self.shape.layers, one.stages)),
            "balanced": one.balanced(),
            **({"given": one.spans(given)} if given is not None else {}),
        }
        return [one.layout(name, stages) for name, stages in found.items()]

    @property
    def _block(self) -> StageSettings:
        assert self.settings.stages is not None, "settings with a block of stages"
        return self.settings.stages

    @property
    def _ranks(self) -> int:
        return sum(each.kind.count for each in self.devices)

    def _pipeline(self, pipelines: int, *, recomputed: bool) -> "_Pipeline":
        block = self.block_of(pipelines)
        together = -(-self.settings.global_batch // block.micro_batches)
        work = StageWork(
            shape=self.shape,
            precision=self.settings.precision,
            positions=self.length or together * self.row_positions,
            most_positions=self.length or together * self.longest,
            recomputed=recomputed,
            reads_others=method_of(self.settings).reads_others(self.settings),
            copied=any(each.on_cpu for each in self.devices) and self.settings.checkpoint_steps > 0,
        )
        return _Pipeline(block, work, tuple(self.devices), pipelines, block.number(self._ranks), max(block.shares()))


def recomputes(settings: TrainSettings) -> Literal["auto"] | bool:
    """Whether stages recompute activations: as set, else not where the schedule needs them, else by the estimate."""
    keeps = settings.stages is not None and settings.stages.schedule == "zero_bubble"
    return False if settings.gradient_checkpointing == "auto" and keeps else settings.gradient_checkpointing


def chosen_micro_batches(global_batch: int, devices: int) -> int:
    """Micro-batches of a step where the settings have no stages."""
    return min(global_batch, MICRO_BATCHES_A_STAGE * devices)


def _even(layers: int, stages: int) -> tuple[int, ...]:
    return tuple(layers // stages + (place < layers % stages) for place in range(stages))


@dataclass(frozen=True)
class _Pipeline:
    """One of several equal pipelines: its devices in the order of ranks, and the costs of layers on them."""

    block: StageSettings
    work: StageWork
    devices: tuple[TrainingDevices, ...]
    pipelines: int
    stages: int
    micro_batches: int

    @property
    def timed(self) -> bool:
        return self.measured or all(each.tokens_a_second or each.operations for each in self.devices)

    @property
    def measured(self) -> bool:
        return all(each.layers is not None for each in self.devices)

    @cached_property
    def kinds(self) -> list[int]:
        """The kind of each stage's device."""
        ranks = [place for place, each in enumerate(self.devices) for _ in range(each.kind.count // self.pipelines)]
        return [ranks[stage % len(ranks)] for stage in range(self.stages)]

    @cached_property
    def on_each(self) -> int:
        """Stages of a process."""
        return self.stages * self.pipelines // sum(each.kind.count for each in self.devices)

    @cached_property
    def fleet(self) -> Fleet:
        links = [
            KindLink(kinds=(one.kind.name, other.kind.name), link=one.to_next)
            for one, other in pairwise(self.devices)
            if one.to_next is not None
        ]
        return Fleet(kinds=tuple(self._kind(each.kind) for each in self.devices), links=tuple(links))

    def _kind(self, kind: DeviceKind) -> DeviceKind:
        """A kind with the memory of a stage, and the slower link where its part of a pipeline spans machines."""
        usable = int(USABLE * kind.memory_bytes) // self.on_each - self.work.working_bytes
        spans = kind.count // self.pipelines > kind.per_node
        link, network = (kind.network if spans else kind.link, kind.network) if self.timed else (INSTANT, INSTANT)
        return kind.model_copy(update={"memory_bytes": max(1, usable), "link": link, "network": network})

    @cached_property
    def layers(self) -> list[LayerCost]:
        token = self.work.operations(self.work.shape.parameters, self.work.shape.trained)
        found = decoder_layers(self.work, {each.kind.name: device_speed(each, token) for each in self.devices})
        seconds = {each.kind.name: each.layers for each in self.devices if each.layers is not None}
        if not self.measured:
            return found
        return with_measured(found, seconds, recomputed=self.work.recomputed, reads_others=self.work.reads_others)

    @cached_property
    def costs(self) -> CostTables:
        return cost_tables(self.layers, self.fleet)

    def spans(self, layers: Sequence[int]) -> tuple[Stage, ...]:
        edges = [sum(layers[:place]) for place in range(len(layers) + 1)]
        return tuple(Stage(kind, *span) for kind, span in zip(self.kinds, pairwise(edges), strict=True))

    def balanced(self) -> tuple[Stage, ...]:
        """The fastest partition that fits; where none does, that without limits of memory."""
        found = partition_in_order(self.costs, self.kinds, self.micro_batches)
        return found.stages if found else self.unlimited()

    def unlimited(self) -> tuple[Stage, ...]:
        found = partition_in_order(self.costs.without_memory_limit(), self.kinds)
        assert found is not None, "there are no more stages than layers"
        return found.stages

    def layout(self, split: LayoutName, stages: Sequence[Stage]) -> StageLayout:
        """The document of a partition: its stages, what a step takes, and why.

        Args:
            split: its name.
            stages: from the first layers to the last.
        """
        times, reducing = self.times(stages), self.reducing(stages)
        seconds = times.seconds(self.micro_batches)
        layout = StageLayout(
            split=split,
            pipelines=self.pipelines,
            schedule=self.block.schedule,
            micro_batches=self.micro_batches,
            positions=self.work.positions,
            recomputed=self.work.recomputed,
            stages=tuple(self.stage(place, stages) for place in range(len(stages))),
            slowest=self.slowest(stages),
            bubble=1 - self.micro_batches * times.slowest / seconds,
            computing_seconds=seconds if self.timed else None,
            reduce_seconds=reducing if self.timed else None,
            why="",
        )
        return layout.model_copy(update={"why": self.why(layout, stages)})

    def times(self, stages: Sequence[Stage]) -> PipelineTimes:
        """Of a micro-batch, by process."""
        slowest = max(self.by_process(busy_seconds(self.costs, stages)))
        passing = sum(computing + moving for computing, moving in stage_times(self.costs, stages))
        left = max(0.0, passing - slowest) / self.on_each
        return PipelineTimes(slowest, slowest + left * (ZERO_BUBBLE if self.block.schedule == "zero_bubble" else 1))

    def by_process(self, seconds: Sequence[float]) -> list[float]:
        ranks = self.stages // self.on_each
        return [sum(seconds[rank::ranks]) for rank in range(ranks)]

    def slowest(self, stages: Sequence[Stage]) -> float:
        """Computing time of the slowest process beside that of work that could be divided anywhere."""
        found = self.by_process([computing for computing, _ in stage_times(self.costs, stages)])
        rates = [1 / self.costs.compute[kind, 0, -1] for kind in self.kinds[: len(found)]]
        return max(found) * float(sum(rates))

    def stage(self, place: int, stages: Sequence[Stage]) -> DeviceStage:
        """What one stage of a partition holds, and its time for a micro-batch.

        A stage with n stages after it keeps the activations of n + 1 micro-batches, as 1F1B has so many in flight.

        Args:
            place: its number.
            stages: of the partition.
        """
        stage, work = stages[place], self.work
        layers = self.layers[stage.first : stage.end]
        in_flight = min(self.micro_batches, len(stages) - place)
        computing, moving = stage_times(self.costs, stages)[place]
        kept = in_flight * sum(layer.activation_bytes for layer in layers) + work.working_bytes
        state, usable = sum(layer.state_bytes for layer in layers), self.usable(stage.kind)
        return DeviceStage(
            devices=self.fleet.kinds[stage.kind].name,
            first=stage.first,
            layers=stage.end - stage.first,
            state_bytes=state,
            activation_bytes=kept,
            usable_bytes=usable,
            fits=state + kept <= usable,
            seconds=computing if self.timed else None,
            transfer_seconds=moving if self.timed else None,
        )

    def usable(self, kind: int) -> int:
        """Bytes of a device that one of its stages may have."""
        return int(USABLE * self.devices[kind].kind.memory_bytes) // self.on_each

    def reducing(self, stages: Sequence[Stage]) -> float:
        """Seconds of gradients over the pipelines, all stages at a time, and of embeddings that the head shares."""
        seconds = max(self.reducing_of(stage) for stage in stages)
        if not self.work.shape.tied or not self.work.trains_all:
            return seconds
        ends = self.fleet.link(stages[0].kind, stages[-1].kind)
        return seconds + ring_seconds(self.work.words * FP32_GRADIENT, 2, ends)

    def reducing_of(self, stage: Stage) -> float:
        kind = self.devices[stage.kind].kind
        link = kind.link if kind.count <= kind.per_node else kind.network
        size = sum(layer.gradient_bytes for layer in self.layers[stage.first : stage.end])
        return ring_seconds(size, self.pipelines, link)

    def why(self, layout: StageLayout, stages: Sequence[Stage]) -> str:
        """What does not fit, or what determines the time of a step."""
        if tight := [stage for stage in layout.stages if not stage.fits]:
            return _too_small(max(tight, key=lambda stage: stage.memory_bytes / stage.usable_bytes))
        if layout.computing_seconds is None or layout.reduce_seconds is None:
            return f"no time is predicted, since the speed of these devices is not known; {self.pace(layout, stages)}"
        if layout.reduce_seconds > layout.computing_seconds:
            share = layout.reduce_seconds / (layout.reduce_seconds + layout.computing_seconds)
            return f"reducing gradients: {share:.0%} of a step"
        if layout.bubble > 1 / 2:
            return f"filling the pipeline: {layout.bubble:.0%} of the passes' time: raise stages.micro_batches"
        return self.pace(layout, stages)

    def pace(self, layout: StageLayout, stages: Sequence[Stage]) -> str:
        """What determines the slowest stage."""
        seconds = stage_times(self.costs, stages)
        place = max(range(len(stages)), key=lambda place: sum(seconds[place]))
        stage, where = layout.stages[place], _where(layout.stages[place])
        computing, moving = seconds[place]
        if moving > computing:
            return f"transfers: {moving / (computing + moving):.0%} of a micro-batch's time at {where}"
        limited = self.times(stages).slowest / self.times(self.unlimited()).slowest - 1
        if layout.split == "balanced" and limited > MATTERS:
            return f"memory: with more of it the slowest stage would be {limited:.0%} faster ({where})"
        if layout.slowest <= 1 + MATTERS:
            return "computing: the slowest stage takes less than 5 % more than if work were divided perfectly"
        if stage.layers == 1:
            return f"one layer, which is not divided: {where}, {layout.slowest:.2f} times perfectly divided work"
        return f"computing: all wait for {where}, {layout.slowest:.2f} times perfectly divided work"


def _where(stage: DeviceStage) -> str:
    last = stage.first + stage.layers - 1
    return f"{stage.devices}, layer {last}" if stage.layers == 1 else f"{stage.devices}, layers {stage.first} to {last}"


def _too_small(stage: DeviceStage) -> str:
    return (
        f"memory: {_where(stage)} would need {stage.memory_bytes / GIB:,.1f} GiB, and {stage.usable_bytes / GIB:,.1f} "
        "GiB are usable: more stages, more micro_batches, or a lower max_length"
    )
