"""Simulates one optimizer step of a plan, event by event: 1F1B in every pipeline, then rings over the gradients.

A device computes, sends and receives as its schedule says. It is busy while it sends and never while it receives; a
pass starts when its input has arrived. Nothing of the closed formulas in `components/train/balance` is used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Literal

import numpy as np

from components.train.balance.devices import Fleet
from components.train.balance.layers import LayerCost
from components.train.balance.plan import MixedPlan, PipelinePlan

Pass = Literal["forward", "backward"]


def schedule(stage: int, stages: int, micro_batches: int) -> list[Pass]:
    """The passes of a stage under 1F1B: forward until the pipeline is full, then in turn, then backward."""
    first = min(micro_batches, stages - 1 - stage)
    steady: list[Pass] = ["forward", "backward"] * (micro_batches - first)
    return ["forward"] * first + steady + ["backward"] * first


@dataclass(frozen=True)
class StageSeconds:
    """Seconds of a stage: each pass, and sending its result to the next stage or its gradient to the one before."""

    forward: float
    backward: float
    send_forward: float
    send_backward: float


class PipelineRun:
    """One pipeline's step. `noise` multiplies every pass."""

    def __init__(self, stages: Sequence[StageSeconds], micro_batches: int, noise: Callable[[], float]) -> None:
        self._stages, self._noise = stages, noise
        self._todo = [schedule(stage, len(stages), micro_batches)[::-1] for stage in range(len(stages))]
        self._arrived = [{"forward": micro_batches if not stage else 0, "backward": 0} for stage in range(len(stages))]
        self._busy = [False] * len(stages)
        self._events: list[tuple[float, int, int, Pass, bool]] = []
        self._order = count()
        self.ends = [0.0] * len(stages)

    def run(self) -> list[float]:
        """When each stage ends, in seconds."""
        for stage in range(len(self._stages)):
            self._start(stage, 0.0)
        while self._events:
            now, _, stage, what, sent = heappop(self._events)
            if sent:
                self._deliver(stage, what, now)
            else:
                self._send(stage, what, now)
        if any(self._todo):
            raise RuntimeError("the schedule stopped before its end")
        return self.ends

    def _start(self, stage: int, now: float) -> None:
        """Start the next pass if the device is free and its input is there."""
        todo = self._todo[stage]
        if self._busy[stage] or not todo or not self._arrived[stage][todo[-1]]:
            return
        what = todo.pop()
        self._arrived[stage][what] -= 1
        self._busy[stage] = True
        self._put(now + getattr(self._stages[stage], what) * self._noise(), stage, what, sent=False)

    def _send(self, stage: int, what: Pass, now: float) -> None:
        """A pass has ended: send its result to the neighbour, if there is one."""
        if what == "forward" and stage == len(self._stages) - 1:
            self._arrived[stage]["backward"] += 1
        seconds = self._stages[stage].send_forward if what == "forward" else self._stages[stage].send_backward
        self._put(now + seconds, stage, what, sent=True)

    def _deliver(self, stage: int, what: Pass, now: float) -> None:
        self._busy[stage], self.ends[stage] = False, now
        neighbour = stage + (1 if what == "forward" else -1)
        if 0 <= neighbour < len(self._stages):
            self._arrived[neighbour][what] += 1
            self._start(neighbour, now)
        self._start(stage, now)

    def _put(self, when: float, stage: int, what: Pass, *, sent: bool) -> None:
        heappush(self._events, (when, next(self._order), stage, what, sent))


def simulate_step(
    plan: MixedPlan, layers: Sequence[LayerCost], fleet: Fleet, noise: float = 0.0, seed: int = 0
) -> float:
    """Seconds of an optimizer step.

    Args:
        plan: which devices compute what.
        layers: what the layers cost.
        fleet: the devices' links.
        noise: sigma of a log-normal factor, of median 1, on every pass.
        seed: of the noise.
    """
    draws = np.random.default_rng(seed)
    pipelines = [each for each in plan.pipelines for _ in range(each.copies)]
    ends = [
        PipelineRun(_stage_seconds(each, layers, fleet), each.micro_batches, lambda: draws.lognormal(0, noise)).run()
        for each in pipelines
    ]
    return _reduce(pipelines, ends, layers, fleet)


def _stage_seconds(pipeline: PipelinePlan, layers: Sequence[LayerCost], fleet: Fleet) -> list[StageSeconds]:
    found: list[StageSeconds] = []
    number = {name: place for place, name in enumerate(fleet.names)}
    sends = [
        fleet.link(number[one.kind], number[other.kind]).seconds(layers[one.end - 1].output_bytes)
        for one, other in zip(pipeline.stages, pipeline.stages[1:], strict=False)
    ]
    for place, stage in enumerate(pipeline.stages):
        own = layers[stage.first : stage.end]
        found.append(
            StageSeconds(
                sum(layer.forward_seconds[stage.kind] for layer in own),
                sum(layer.backward_seconds[stage.kind] for layer in own),
                sends[place] if place < len(sends) else 0.0,
                sends[place - 1] if place else 0.0,
            )
        )
    return found


def _reduce(
    pipelines: Sequence[PipelinePlan], ends: Sequence[Sequence[float]], layers: Sequence[LayerCost], fleet: Fleet
) -> float:
    """When all gradients are summed: a ring for each layer over the devices that hold it, from the last layer on.

    A device joins a layer's ring once it has ended its passes and the rings of its later layers. In each of 2 (D - 1)
    rounds it sends a part to the next device, after its own part of the round before and its neighbour's have come.
    """
    devices = len(pipelines)
    free = [list(stages) for stages in ends]
    if devices == 1:
        return max(free[0])
    number = {name: place for place, name in enumerate(fleet.names)}
    for layer in reversed(range(len(layers))):
        holders = [next(n for n, stage in enumerate(each.stages) if layer < stage.end) for each in pipelines]
        kinds = [number[each.stages[holder].kind] for each, holder in zip(pipelines, holders, strict=True)]
        links = {pair: fleet.ring_link(set(pair), devices) for pair in zip(kinds, [*kinds[1:], kinds[0]], strict=True)}
        part = layers[layer].gradient_bytes / devices
        hops = np.array([links[pair].seconds(part) for pair in zip(kinds, [*kinds[1:], kinds[0]], strict=True)])
        when = np.array([free[place][holder] for place, holder in enumerate(holders)])
        for _ in range(2 * (devices - 1)):
            when = np.maximum(when, np.roll(when + hops, 1))
        for place, holder in enumerate(holders):
            free[place][holder] = float(when[place])
    return max(max(stages) for stages in free)
