"""The document of a layout in stages: which layers each device of a pipeline has, what it holds, and what a step takes.

A step's time is that of 1F1B (`step_time.py`); schedules that fill idle time divide what filling the pipeline takes.
"""

from typing import Literal

from components.train.balance.split_plan import SplitPart

LayoutName = Literal["even", "balanced", "given"]


class DeviceStage(SplitPart):
    """One stage.

    Attributes:
        devices: kind of its device.
        first: its first layer.
        layers: how many it has; the first stage has the embeddings too, the last one norm and head.
        state_bytes: weights, gradients and optimizer state.
        activation_bytes: what the micro-batches in flight keep.
        usable_bytes: what of the device's memory its stages may use; of several stages, the stage's part.
        fits: whether all of it fits.
        seconds: of both passes of a micro-batch; None where no speed is known.
        transfer_seconds: of a micro-batch over the boundary to the next stage, there and back.
    """

    devices: str
    first: int
    layers: int
    state_bytes: int
    activation_bytes: int
    usable_bytes: int
    fits: bool
    seconds: float | None = None
    transfer_seconds: float | None = None

    @property
    def memory_bytes(self) -> int:
        """All that it holds."""
        return self.state_bytes + self.activation_bytes


class StageLayout(SplitPart):
    """Equal pipelines beside each other, each with these stages.

    Attributes:
        split: even: nearly equal numbers of layers; balanced: by cost; given: as the settings list them.
        pipelines: how many there are; gradients are reduced over them.
        schedule: of the stages.
        micro_batches: of each pipeline in an optimizer step.
        positions: of a micro-batch.
        recomputed: whether activations are recomputed.
        stages: from the first layers to the last.
        slowest: time of the slowest process beside that of perfectly divided work.
        bubble: share of the passes' time in which the slowest stage is idle, while the pipeline fills and drains.
        computing_seconds: of a step's passes, transfers between stages and idle time included; None: not known.
        reduce_seconds: of gradients over the pipelines, and of embeddings that the head shares.
        why: what determines the step's time, or what does not fit.
    """

    split: LayoutName
    pipelines: int
    schedule: str
    micro_batches: int
    positions: int
    recomputed: bool
    stages: tuple[DeviceStage, ...]
    slowest: float
    bubble: float
    computing_seconds: float | None = None
    reduce_seconds: float | None = None
    why: str

    @property
    def fits(self) -> bool:
        """Whether every stage's memory suffices."""
        return all(stage.fits for stage in self.stages)

    @property
    def step_seconds(self) -> float | None:
        """Predicted time of an optimizer step, without the update of weights."""
        if self.computing_seconds is None or self.reduce_seconds is None:
            return None
        return self.computing_seconds + self.reduce_seconds

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers of each stage, as `stages.layers` has them."""
        return tuple(stage.layers for stage in self.stages)
