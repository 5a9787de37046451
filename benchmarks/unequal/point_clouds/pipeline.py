"""One of two processes that train the sparse U-Net in pipeline stages, cut evenly or by what its layers cost on each.

Stages by `torch.distributed.pipelining` (1F1B), the cut by components/train/balance. A micro-batch is a scan; features
have the same number of rows in all of them, since a pipeline's messages have one shape.
"""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed
from torch import nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B

from benchmarks.unequal.point_clouds.scans import Scan, make_scan
from benchmarks.unequal.point_clouds.sparse import Geometry, geometry_of, padded
from benchmarks.unequal.point_clouds.unet import WIDTHS, State, make_layers
from components.launch.here.local import LOOPBACK
from components.train.balance.devices import DeviceKind, Fleet, Link
from components.train.balance.layers import CostTables, LayerCost, cost_tables
from components.train.balance.partition import Stage, busy_seconds, partition_in_order, stage_times
from components.train.balance.step_time import PipelineTimes
from components.train.stages.measure_links import measure_links

PROCESSES = 2
UNLABELLED = -100
RATE = 1e-2
STATE_BYTES = 8
"""Of a weight in fp32: itself and its gradient (plain gradient descent)."""
MEASURED_SECONDS = 0.5
"""For which each layer is measured: many periods of a cgroup's quota."""
Cut = Literal["alone", "uniform", "parameters", "balanced"]


@dataclass(frozen=True)
class Work:
    """What is trained.

    Attributes:
        resolution: of the scans.
        scans: of a step.
        steps: that are timed, after one that is not.
        cuts: in this order.
    """

    resolution: int
    scans: int
    steps: int
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Meeting:
    """How the processes and the one that started them meet.

    Attributes:
        folder: a folder of theirs.
        ready: an event for each process, which sets it once its libraries are loaded.
        begin: the event that they wait for, since the quota begins then.
        found: a queue for what was `Trained` under each cut.
    """

    folder: Path
    ready: tuple[Any, ...]
    begin: Any
    found: Any


@dataclass(frozen=True)
class Trained:
    """What became of a cut: its stages, seconds of a step (measured and predicted), the loss of the last step."""

    cut: Cut
    stages: tuple[Stage, ...]
    seconds: float
    predicted: float
    loss: float


def run_rank(rank: int, work: Work, meeting: Meeting) -> None:
    """Measure the layers and train under each cut, as process `rank`; process 0 hands over what it found."""
    os.environ.update(LOOPBACK)
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {rank % (os.cpu_count() or 1)})
    store = torch.distributed.FileStore(str(meeting.folder / "store"), PROCESSES)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=PROCESSES)
    meeting.ready[rank].set()
    meeting.begin.wait()
    scans = [make_scan(work.resolution, seed) for seed in range(work.scans)]
    geometries = [geometry_of(scan, len(WIDTHS)) for scan in scans]
    rows = [max(one.rows[level] for one in geometries) for level in range(len(WIDTHS))]
    geometries = [padded(one, rows) for one in geometries]
    costs = gather_costs(measure_layers(features_of(scans[0], rows[0]), geometries[0]))
    link = measured_link(costs)
    for cut in work.cuts:
        stages = cut_layers(cut, costs, link)
        seconds, loss = train(stages, scans, geometries, rank, work.steps)
        if rank == 0:
            meeting.found.put(Trained(cut, stages, seconds, predicted_seconds(costs, stages, work.scans, link), loss))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def features_of(scan: Scan, rows: int) -> torch.Tensor:
    """A scan's features with rows of zeros at the end, shape (rows, FEATURES)."""
    return nn.functional.pad(scan.features, (0, 0, 0, rows - len(scan.features)))


def labels_of(scan: Scan, rows: int) -> torch.Tensor:
    """A scan's labels, and UNLABELLED for the rest, shape (rows,)."""
    return nn.functional.pad(scan.labels, (0, rows - len(scan.labels)), value=UNLABELLED)


@dataclass(frozen=True)
class Measured:
    """What one layer takes on this process for one scan: seconds of both passes, bytes given on, bytes of its state."""

    forward: float
    backward: float
    given_on: int
    state: int


def measure_layers(features: torch.Tensor, geometry: Geometry) -> list[Measured]:
    """Every layer of the U-Net by itself: means over several periods of a quota, which does not slow a short burst."""
    found, state = [], (features,)
    for layer in make_layers("sparse"):
        _time_layer(layer, state, geometry)
        timed, began = [], time.perf_counter()
        while time.perf_counter() - began < MEASURED_SECONDS:
            timed.append(_time_layer(layer, state, geometry))
        with torch.no_grad():
            state = layer(state, geometry)
        forward, backward = (statistics.mean(times) for times in zip(*timed, strict=True))
        size = STATE_BYTES * sum(weight.numel() for weight in layer.parameters())
        found.append(Measured(forward, backward, sum(part.nbytes for part in state), size))
    return found


def _time_layer(layer: nn.Module, state: State, geometry: Geometry) -> tuple[float, float]:
    given = tuple(part.detach().requires_grad_() for part in state)
    began = time.perf_counter()
    made = layer(given, geometry)
    between = time.perf_counter()
    torch.autograd.backward(made, [torch.ones_like(part) for part in made])
    return between - began, time.perf_counter() - between


def gather_costs(own: list[Measured]) -> list[LayerCost]:
    """The costs of the layers on both processes, each of which is a kind of device."""
    both: list[Any] = [None] * PROCESSES
    torch.distributed.all_gather_object(both, own)
    return [
        LayerCost(
            name=f"layer {number}",
            forward_seconds={_kind(rank): one.forward for rank, one in enumerate(layer)},
            backward_seconds={_kind(rank): one.backward for rank, one in enumerate(layer)},
            state_bytes=layer[0].state,
            activation_bytes=layer[0].given_on,
            output_bytes=layer[0].given_on,
            gradient_bytes=0,
        )
        for number, layer in enumerate(zip(*both, strict=True))
    ]


def measured_link(costs: Sequence[LayerCost]) -> Link:
    """The link between both processes, by messages as large as what crosses a cut on average."""
    sizes = [layer.output_bytes for layer in costs[:-1]]
    numbers = round(statistics.mean(sizes) / torch.float32.itemsize)
    (found,) = measure_links([(0, 1)], numbers, torch.float32, torch.device("cpu"))
    return found.link


def cut_layers(cut: Cut, costs: Sequence[LayerCost], link: Link) -> tuple[Stage, ...]:
    """All layers on process 0, DeepSpeed's cuts for processes in their order, or the fastest partition over both.

    DeepSpeed's pipelines are cut into equally many layers (`uniform`), or equally many weights (`parameters`).
    """
    if cut == "alone":
        return (Stage(0, 0, len(costs)),)
    if cut != "balanced":
        from deepspeed.runtime.utils import partition_balanced, partition_uniform

        layers = len(costs)
        weights = [layer.state_bytes for layer in costs]
        bounds = partition_uniform(layers, PROCESSES) if cut == "uniform" else partition_balanced(weights, PROCESSES)
        return tuple(Stage(number, *map(int, bounds[number : number + 2])) for number in range(PROCESSES))
    orders = [(0,), (1,), (0, 1), (1, 0)]
    found = [partition_in_order(_tables(costs, link), kinds) for kinds in orders]
    return min((each for each in found if each is not None), key=lambda each: each.slowest_seconds).stages


def predicted_seconds(costs: Sequence[LayerCost], stages: Sequence[Stage], scans: int, link: Link) -> float:
    """Of a step with so many scans, by the planner's formula."""
    tables = _tables(costs, link)
    passing = sum(computing + moving for computing, moving in stage_times(tables, stages))
    return PipelineTimes(slowest=max(busy_seconds(tables, stages)), passing=passing).seconds(scans)


def _tables(costs: Sequence[LayerCost], link: Link) -> CostTables:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // PROCESSES
    kinds = tuple(
        DeviceKind(name=_kind(rank), count=1, memory_bytes=memory, link=link, network=link) for rank in range(PROCESSES)
    )
    return cost_tables(costs, Fleet(kinds=kinds))


def _kind(rank: int) -> str:
    return f"process {rank}"


class StageOfScans(nn.Module):
    """Some layers, for one scan after the other: in 1F1B forward passes are in the order of the micro-batches."""

    def __init__(self, layers: Sequence[nn.Module], geometries: Sequence[Geometry]) -> None:
        super().__init__()
        self.layers, self._geometries, self._passes = nn.ModuleList(layers), geometries, 0

    def forward(self, *given: torch.Tensor) -> State:
        """The state after these layers; the first stage gets features of shape (1, rows, FEATURES)."""
        geometry = self._geometries[self._passes % len(self._geometries)]
        self._passes += 1
        state = (given[0][0],) if given[0].dim() == 3 else given
        for layer in self.layers:
            state = layer(state, geometry)
        return state


def train(
    stages: Sequence[Stage], scans: Sequence[Scan], geometries: Sequence[Geometry], rank: int, steps: int
) -> tuple[float, float]:
    """Train with these stages; returns the median of a step's seconds, and the loss of the last (0 in other stages).

    A process without a stage, where one is faster alone, only waits.
    """
    places = {stage.kind: place for place, stage in enumerate(stages)}
    times, loss, step = [], 0.0, _Step(stages, scans, geometries, places.get(rank))
    for number in range(steps + 1):
        torch.distributed.barrier()
        began = time.perf_counter()
        loss = step()
        torch.distributed.barrier()
        if number:
            times.append(time.perf_counter() - began)
    losses: list[Any] = [None] * PROCESSES
    torch.distributed.all_gather_object(losses, loss)
    return statistics.median(times), sum(losses)


class _Step:
    """One optimizer step of a process: its stage's part, or the complete network where there is but one stage."""

    def __init__(
        self, stages: Sequence[Stage], scans: Sequence[Scan], geometries: Sequence[Geometry], place: int | None
    ) -> None:
        self._place, self._count = place, len(stages)
        self._voxels = sum(len(scan.labels) for scan in scans)
        rows = geometries[0].rows[0]
        self._features = torch.stack([features_of(scan, rows) for scan in scans])
        self._labels = torch.stack([labels_of(scan, rows) for scan in scans])
        if place is None:
            return
        layers = make_layers("sparse")
        self._module = StageOfScans(layers[stages[place].first : stages[place].end], geometries)
        self._optimizer = torch.optim.SGD(self._module.parameters(), RATE)
        if self._count > 1:
            given, made = _shapes(layers, stages[place], geometries[0], self._features[:1])
            stage = PipelineStage(
                self._module, place, self._count, torch.device("cpu"), input_args=given, output_args=made
            )
            stage.stage_index_to_group_rank = {number: one.kind for number, one in enumerate(stages)}
            self._schedule = Schedule1F1B(stage, len(scans), loss_fn=self._loss, scale_grads=False)

    def __call__(self) -> float:
        """Both passes of all scans and the optimizer's step; returns the mean loss, 0 but in the last stage."""
        if self._place is None:
            return 0.0
        self._optimizer.zero_grad()
        losses: list[torch.Tensor] = []
        if self._count == 1:
            for features, labels in zip(self._features[:, None], self._labels[:, None], strict=True):
                losses.append(self._loss(self._module(features)[0], labels))
                losses[-1].backward()
        elif self._place == 0:
            self._schedule.step(self._features)
        else:
            self._schedule.step(target=self._labels, losses=losses)
        self._optimizer.step()
        return float(sum(loss.detach() for loss in losses))

    def _loss(self, scores: Any, labels: torch.Tensor) -> torch.Tensor:
        """A scan's part of the mean over the voxels of all."""
        scores = scores[0] if isinstance(scores, tuple) else scores
        total = nn.functional.cross_entropy(scores, labels[0], ignore_index=UNLABELLED, reduction="sum")
        return total / self._voxels


def _shapes(
    layers: Sequence[nn.Module], stage: Stage, geometry: Geometry, features: torch.Tensor
) -> tuple[State, State]:
    """What a stage gets and gives, as torch's pipeline wants it: by example."""
    state: State = (features[0],)
    with torch.no_grad():
        for layer in layers[: stage.first]:
            state = layer(state, geometry)
        given = (features,) if stage.first == 0 else tuple(part.requires_grad_() for part in state)
        for layer in layers[stage.first : stage.end]:
            state = layer(state, geometry)
    # Without a gradient torch's pipeline would send none back.
    return given, tuple(part.detach().requires_grad_() for part in state)
