"""Measures what layers and links cost at the start of a job, for the plan of its stages, and records what came of it.

A training that continues on as many processes with the same devices keeps its stages, so that it continues bit for bit,
unless they have turned out to fit no longer.
"""

# ruff: noqa: TID253 - imported by the job's own program only

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed

from components.shared.log import say
from components.train.balance.devices import DeviceKind, Link
from components.train.balance.measured_costs import GIB, LayerSeconds, MeasuredLink, MeasuredRank, StagesRecord, alike
from components.train.balance.stage_layout import StageLayout
from components.train.checkpoints.checkpoint import Fetched
from components.train.engine.fit_memory import free_bytes
from components.train.plan_split import TrainingDevices
from components.train.ranks import Ranks
from components.train.stages.measure_layers import SampledRun, measure_layers
from components.train.stages.measure_links import measure_links
from components.train.stages.staged_model import StagedModel

CPU = "CPU"
ENTRY = "stages"
"""A record's name in the trainer's log."""
DRIFT_ENTRY = "stage_drift"
"""That of a record of stages that no longer fit."""
STATE_FILE = "trainer_state.json"


@dataclass
class Calibration:
    """The measurement of one job. Every process has one, and all call its methods together.

    Attributes:
        model: whose stages are chosen.
        pipelines: of the job.
        sample: of the run.
        earlier: the checkpoint that training continues from.
        record: what was chosen; None: the stages of the checkpoint were kept, or nothing was measured.
    """

    model: StagedModel
    pipelines: int
    sample: SampledRun
    earlier: Fetched | None = None
    record: StagesRecord | None = field(default=None, init=False)
    _seconds: float = field(default=0.0, init=False)

    def kept(self, stages: int) -> StagesRecord | None:
        """The stages that the checkpoint was made with, if the devices are the same and there are as many stages."""
        found = None if self.earlier is None else newest_record(self.earlier.folder)
        if found == "drifted":
            self._say("the stages of the checkpoint no longer fitted their devices: costs are measured again")
            return None
        names = [name for name, _ in self._devices]
        if found is None or [rank.name for rank in found.ranks] != names:
            return None
        if len(found.layers) != stages or sum(found.layers) != self.model.count:
            return None
        self._say(f"stages of {', '.join(map(str, found.layers))} layers, as in the checkpoint")
        return found

    def _say(self, words: str) -> None:
        if Ranks.from_environment().is_main:
            say(self.model.task, words)

    def counts(self, ranks: Sequence[MeasuredRank]) -> list[int]:
        """Processes of each kind of device, kind by kind."""
        return [len(kind) for kind in self._kinds(ranks)]

    def devices(self) -> list[TrainingDevices]:
        """The devices of all processes, in the order of ranks, with what was measured on them."""
        began = time.monotonic()
        ranks, links = self._ranks, self._links
        self._seconds = time.monotonic() - began
        return [self._kind(own, links) for own in self._kinds(ranks)]

    def _kinds(self, ranks: Sequence[MeasuredRank]) -> list[list[int]]:
        """Numbers of ranks of one kind: by name and speed, or by name where pipelines cannot divide such kinds."""
        kinds = alike(ranks, self.model.count)
        if any(len(kind) % self.pipelines for kind in kinds):
            return [list(kind) for _, kind in groupby(range(len(ranks)), key=lambda rank: ranks[rank].name)]
        return kinds

    def adopt(self, layout: StageLayout) -> None:
        """Record a layout that follows from the measurement."""
        assert layout.step_seconds is not None, "measured devices are timed"
        self.record = StagesRecord(
            step=1 if self.earlier is None else self.earlier.step + 1,
            ranks=tuple(self._ranks),
            links=tuple(self._links),
            message_bytes=self._numbers * self.model.dtype.itemsize,
            layers=layout.layers,
            recomputed=layout.recomputed,
            step_seconds=round(layout.step_seconds, 6),
            measuring_seconds=round(self._seconds, 3),
        )
        self._say(str(self.record))

    @cached_property
    def _devices(self) -> list[tuple[str, int]]:
        """Name and free bytes of each process's device, before the model is loaded."""
        own = (torch.cuda.get_device_name() if torch.cuda.is_available() else CPU, free_bytes())
        found: list[Any] = [own] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(found, own)
        return found

    @cached_property
    def _ranks(self) -> list[MeasuredRank]:
        devices = self._devices
        own = measure_layers(self.model, self.sample)
        found: list[Any] = [own] * len(devices)
        torch.distributed.all_gather_object(found, own)
        return [
            MeasuredRank(name=name, free_gib=round(free / GIB, 3), layers=layers)
            for (name, free), layers in zip(devices, found, strict=True)
        ]

    @cached_property
    def _links(self) -> list[MeasuredLink]:
        """Of the processes that are neighbours in the pipeline."""
        pairs = list(pairwise(range(len(self._devices))))
        return measure_links(pairs, self._numbers, self.model.dtype, self.sample.device)

    @property
    def _numbers(self) -> int:
        return self.sample.steps.length * self.model.width

    def _kind(self, own: list[int], links: list[MeasuredLink]) -> TrainingDevices:
        """The devices of processes that follow each other and are alike."""
        first, last, name = own[0], own[-1], self._devices[own[0]][0]
        touching = [one.link for one in links if set(one.ranks) & set(own)]
        inside = [one.link for one in links if set(one.ranks) <= set(own)]
        kind = DeviceKind(
            name=f"rank {first} ({name})" if first == last else f"ranks {first} to {last} ({name})",
            count=len(own),
            memory_bytes=min(self._devices[rank][1] for rank in own),
            per_node=len(own),
            link=_slowest(inside or touching),
            network=_slowest(touching),
        )
        after = next((one.link for one in links if one.ranks == (last, last + 1)), None)
        seconds = LayerSeconds.mean([self._ranks[rank].layers for rank in own])
        return TrainingDevices(kind, on_cpu=name == CPU, layers=seconds, to_next=after)


def _slowest(links: list[Link]) -> Link:
    found = links[0]
    for link in links[1:]:
        found = found.slower(link)
    return found


def newest_record(checkpoint: Path) -> StagesRecord | Literal["drifted"] | None:
    """The last record that a checkpoint's log has, unless its stages no longer fit; None where it has none."""
    history = json.loads((checkpoint / STATE_FILE).read_text())["log_history"]
    found = [entry for entry in history if ENTRY in entry or DRIFT_ENTRY in entry]
    if not found:
        return None
    return StagesRecord.model_validate(found[-1][ENTRY]) if ENTRY in found[-1] else "drifted"


def plan_counts(history: list[dict[str, Any]]) -> dict[str, float]:
    """Counts for the manifest: what measuring took, and the predicted step; empty where nothing was measured."""
    found = [entry[ENTRY] for entry in history if ENTRY in entry]
    if not found:
        return {}
    return {
        "seconds_measuring": sum(one["measuring_seconds"] for one in found),
        "step_seconds_predicted": found[-1]["step_seconds"],
    }
