"""Which layers each stage of a job has: as the settings list them, or by cost, as `tutelage plan` does before a job.

What layers and links cost is measured by the job, unless the settings give speeds.
"""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from components.launch.accelerators import ACCELERATORS, PRODUCT_LABEL, accelerator_of
from components.models.stored.stored_model import read_folder
from components.shared.log import say
from components.train.balance.devices import DeviceKind, Link
from components.train.balance.stage_layout import StageLayout
from components.train.check_start import require_layers
from components.train.engine.fit_memory import free_bytes, read_shape
from components.train.plan_split import TrainingDevices
from components.train.plan_stages import StagePlanner
from components.train.ranks import Ranks
from components.train.settings import TrainSettings
from components.train.stages.calibrate import CPU, Calibration
from components.train.stages.settings import StageSettings

GIB = 2**30
UNTIMED = Link(bytes_a_second=1.0)
"""Of devices without published numbers, whose speeds are relative: no transfer is timed."""


def choose_layers(
    settings: TrainSettings,
    stages: StageSettings,
    *,
    start: Path,
    name: str,
    count: int,
    length: int,
    task: str,
    calibration: Calibration | None = None,
) -> list[tuple[int, int]]:
    """The layers [first, end) of each stage; every process calls it, and all get the same.

    Args:
        settings: of the training.
        stages: its block of stages.
        start: the folder of the model that training starts from.
        name: how a person names it.
        count: of the model's layers.
        length: positions of every micro-batch.
        task: the step's name in the log.
        calibration: measures what layers and links cost; None: layers cost their operations.

    Raises:
        SettingsError: the stages do not fit the layers.
    """
    ranks = Ranks.from_environment()
    evenly = require_layers(stages, count, ranks.world, name)
    if stages.layers is not None:
        return evenly
    calibration = calibration if settings.launch.speeds is None else None
    if calibration and (kept := calibration.kept(len(evenly))):
        return kept
    shape = read_shape(read_folder(start, name), settings)
    if shape is None or shape.layers != count:
        if ranks.is_main:
            say(task, "equal numbers of layers in each stage: the start's files do not show what layers cost")
        return evenly
    devices = calibration.devices() if calibration else job_devices(settings, ranks)
    planner = StagePlanner(settings, shape, devices, length, length, length)
    even, balanced = planner.layouts(1)
    if calibration:
        calibration.adopt(balanced)
    if ranks.is_main:
        say(task, described(even, balanced))
    edges = [*(stage.first for stage in balanced.stages), count]
    return list(pairwise(edges))


def described(even: StageLayout, balanced: StageLayout) -> str:
    """The plan and its reason, for the log."""
    layers = ", ".join(map(str, balanced.layers))
    fullest = max(balanced.stages, key=lambda stage: stage.memory_bytes / stage.usable_bytes)
    seconds = "" if balanced.step_seconds is None else f"; by estimate {balanced.step_seconds:.3g} s a step"
    return (
        f"layers by cost: stages of {layers}, the slowest {balanced.slowest:.2f} times perfectly divided work (equal "
        f"numbers of layers: {even.slowest:.2f}), idle {balanced.bubble:.0%} while the pipeline fills{seconds}. The "
        f"fullest needs {fullest.memory_bytes / GIB:,.2f} of {fullest.usable_bytes / GIB:,.2f} GiB. {balanced.why}"
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
