"""Which layers each stage of a job has: as the settings list them, or by cost, as `tutelage plan` does before a job.

What layers and links cost is measured by the job, unless the settings give speeds.
The same estimate decides whether activations are recomputed, where the settings leave it open.
"""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any

import torch
import torch.distributed

from components.launch.accelerators import ACCELERATORS, PRODUCT_LABEL, accelerator_of
from components.models.stored.stored_model import read_folder
from components.shared.errors import SettingsError
from components.shared.log import say
from components.train.balance.devices import DeviceKind, Link
from components.train.balance.stage_layout import StageLayout
from components.train.check_start import require_layers
from components.train.engine.fit_memory import free_bytes, read_shape
from components.train.plan_split import TrainingDevices
from components.train.plan_stages import StagePlanner, recomputes
from components.train.ranks import Ranks
from components.train.settings import TrainSettings
from components.train.stages.calibrate import CPU, Calibration
from components.train.stages.job_pipelines import JobPipeline, make_pipelines
from components.train.stages.settings import StageSettings
from components.train.stages.staged_model import StagedModel

GIB = 2**30
UNTIMED = Link(bytes_a_second=1.0)
"""Of devices without published numbers, whose speeds are relative: no transfer is timed."""


def choose_layers(
    model: StagedModel, stages: StageSettings, calibration: Calibration | None = None
) -> tuple[list[JobPipeline], bool]:
    """The job's pipelines with the layers [first, end) of each stage, and whether activations are recomputed.

    Every process calls it, and all get the same.

    Args:
        model: of the training.
        stages: its block of stages.
        calibration: measures what layers and links cost; None: layers cost their operations.

    Raises:
        SettingsError: the stages do not fit the layers, or the pipelines the devices.
    """
    ranks, settings, count = Ranks.from_environment(), model.settings, model.count
    evenly = require_layers(stages, count, ranks.world, model.name)
    task = model.task if ranks.is_main else ""
    if settings.launch.speeds is not None or stages.layers is not None:
        calibration = None
    if calibration and (kept := calibration.kept(len(evenly))):
        recomputed = recomputes(settings)
        pipelines = make_pipelines(stages, calibration.counts(kept.ranks), kept.spans)
        return pipelines, kept.recomputed if recomputed == "auto" else recomputed
    shape = read_shape(read_folder(model.start, model.name), settings)
    if shape is None or shape.layers != count:
        calibration = None
    devices = calibration.devices() if calibration else job_devices(settings, ranks)
    kinds = [each.kind.count for each in devices]
    if shape is None or shape.layers != count:
        return make_pipelines(stages, kinds, evenly), _without_estimate(settings, stages, task)
    planner = StagePlanner(settings, shape, devices, model.length, model.length, model.length)
    if refusal := planner.refusal(stages.pipelines):
        if stages.layers is None:
            raise _unequal(refusal)
        return make_pipelines(stages, kinds, evenly), _without_estimate(settings, stages, task)
    even, *_, chosen = planner.layouts(stages.pipelines)
    if calibration:
        calibration.adopt(chosen)
    _report(settings, even, chosen, task)
    edges = [*(stage.first for stage in chosen.stages), count]
    return make_pipelines(stages, kinds, list(pairwise(edges))), chosen.recomputed


def described(even: StageLayout, balanced: StageLayout) -> str:
    """The plan and its reason, for the log."""
    layers = ", ".join(map(str, balanced.layers))
    each = "" if balanced.pipelines == 1 else f" in each of {balanced.pipelines} pipelines"
    seconds = "" if balanced.step_seconds is None else f"; by estimate {balanced.step_seconds:.3g} s a step"
    return (
        f"layers by cost: stages of {layers}{each}, the slowest {balanced.slowest:.2f} times perfectly divided work "
        f"(equal numbers of layers: {even.slowest:.2f}), idle {balanced.bubble:.0%} while the pipeline fills{seconds}. "
        f"{_fullest(balanced)}. {balanced.why}"
    )


def _report(settings: TrainSettings, even: StageLayout, chosen: StageLayout, task: str) -> None:
    """Log what the estimate has decided."""
    if task and chosen.split == "balanced":
        say(task, described(even, chosen))
    if task and recomputes(settings) == "auto":
        layers = "recomputed (gradient checkpointing): kept ones do not fit" if chosen.recomputed else "kept"
        say(task, f"activations {layers}. {_fullest(chosen)} (estimated)")


def _fullest(layout: StageLayout) -> str:
    fullest = max(layout.stages, key=lambda stage: stage.memory_bytes / stage.usable_bytes)
    return f"The fullest stage needs {fullest.memory_bytes / GIB:,.2f} of {fullest.usable_bytes / GIB:,.2f} GiB"


def _without_estimate(settings: TrainSettings, stages: StageSettings, task: str) -> bool:
    """Whether activations are recomputed where nothing is known of memory: unless the settings or a schedule say no."""
    if task and stages.layers is None:
        say(task, "equal numbers of layers in each stage: the start's files do not show what layers cost")
    recomputed = recomputes(settings)
    if recomputed != "auto":
        return recomputed
    if task:
        say(task, "activations recomputed (gradient checkpointing): the memory of stages is not estimated")
    return True


def _unequal(refusal: str) -> SettingsError:
    return SettingsError(
        f"stages: {refusal}",
        rule="pipelines whose layers are chosen by cost are equal: each has as many devices of every kind",
        remedy="change stages.pipelines or the devices, or list stages.layers: each pipeline then has consecutive "
        "processes, whatever their devices",
    )


def job_devices(settings: TrainSettings, ranks: Ranks) -> list[TrainingDevices]:
    """The devices of all processes, in the order of ranks; every process calls it."""
    own = (torch.cuda.get_device_name() if torch.cuda.is_available() else CPU, free_bytes())
    found: list[Any] = [own] * ranks.world
    torch.distributed.all_gather_object(found, own)
    speeds = settings.launch.speeds or (1.0,) * ranks.world
    return as_kinds([(name, free, speed / max(speeds)) for (name, free), speed in zip(found, speeds, strict=True)])


def as_kinds(found: Sequence[tuple[str, int, float]]) -> list[TrainingDevices]:
    """Devices by name, free bytes and relative speed, those that follow each other and are alike as one kind."""
    kinds: list[TrainingDevices] = []
    first = 0
    for (name, speed), alike in groupby(found, key=lambda each: (each[0], each[2])):
        memory = [free for _, free, _ in alike]
        kinds.append(_kind(name, first, memory, speed))
        first += len(memory)
    return kinds


def _kind(name: str, first: int, memory: Sequence[int], speed: float) -> TrainingDevices:
    known = ACCELERATORS.get(accelerator_of({PRODUCT_LABEL: name.replace(" ", "-")}))
    last = first + len(memory) - 1
    kind = DeviceKind(
        name=f"rank {first} ({name})" if first == last else f"ranks {first} to {last} ({name})",
        count=len(memory),
        memory_bytes=min(memory),
        link=Link(bytes_a_second=known.link) if known else UNTIMED,
        network=Link(bytes_a_second=known.network) if known else UNTIMED,
    )
    return TrainingDevices(kind, known.operations if known else None, relative=speed, on_cpu=name == CPU)
