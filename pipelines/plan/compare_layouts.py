"""Compares layouts in stages with each other, with data parallelism, and with other orders of the devices, in words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, permutations

from components.shared.text.counted import counted
from components.train.balance.split_plan import SplitPlan
from components.train.balance.stage_layout import StageLayout
from components.train.memory import USABLE
from components.train.plan_stages import StagePlanner
from pipelines.plan.document import PlannedLayout, PlannedSplit

MATTERS = 0.05
"""Gain of another order of devices from which it is named."""
MOST_ORDERS = 24
"""Orders that are tried: all those of four kinds."""


def fastest(layouts: Sequence[PlannedLayout]) -> int | None:
    """The number of the fastest layout that fits, a balanced one of several; without times, of one pipeline."""
    fitting = [place for place, each in enumerate(layouts) if each.layout.fits]
    return min(fitting, key=lambda place: _order(layouts[place].layout), default=None)


def _order(layout: StageLayout) -> tuple[float, int, float, bool]:
    seconds = layout.step_seconds
    return (0.0 if seconds is None else seconds, layout.pipelines, layout.slowest, layout.split != "balanced")


def in_words(layout: StageLayout) -> str:
    """Such as `2 pipelines of 4 stages, balanced`."""
    return f"{counted(layout.pipelines, 'pipeline')} of {len(layout.stages)} stages, {layout.split}"


@dataclass(frozen=True)
class LayoutComparison:
    """The layouts of a training, and which is the best; `has_stages`: whether its recipe asks for them."""

    layouts: Sequence[PlannedLayout]
    best: int | None
    splits: Sequence[PlannedSplit]
    planner: StagePlanner
    has_stages: bool

    def why(self) -> str:
        """The comparison in a sentence."""
        if self.best is None:
            most_devices = next(each.layout for each in self.layouts if each.layout.split == "balanced")
            return f"no layout fits {USABLE:.0%} of the memory: {most_devices.why}"
        best = self.layouts[self.best].layout
        parts = (
            f"best: {in_words(best)}{_seconds(best)}",
            self._beside_even(best),
            self._in_another_order(best),
            self._beside_data_parallelism(best),
            self._setting(best),
        )
        return "; ".join(part for part in parts if part)

    def _beside_even(self, best: StageLayout) -> str:
        alike = [each.layout for each in self.layouts if each.layout.pipelines == best.pipelines]
        even = next(layout for layout in alike if layout.split == "even")
        if best.layers == even.layers:
            return "its numbers of layers are equal"
        if not even.fits:
            return "equal numbers of layers do not fit"
        return f"equal numbers of layers take {_ratio(even, best):.2f} times as long"

    @property
    def _held(self) -> list[SplitPlan]:
        """The splits with data parallelism that fit."""
        return [split.plan for split in self.splits if split.plan is not None and split.plan.fits]

    @property
    def _timed(self) -> list[tuple[float, str]]:
        """Seconds of a step of these, and their names."""
        return [(plan.step_seconds, plan.split) for plan in self._held if plan.step_seconds is not None]

    def _beside_data_parallelism(self, best: StageLayout) -> str:
        if not self._held:
            return "data parallelism does not fit"
        seconds, split = min(self._timed, default=(0.0, ""))
        if not split or best.step_seconds is None:
            return "data parallelism fits too"
        if seconds <= best.step_seconds:
            return f"data parallelism ({split}) takes {seconds:.3g} s, so these stages gain nothing"
        return f"data parallelism ({split}) takes {seconds / best.step_seconds:.2f} times as long"

    def _in_another_order(self, best: StageLayout) -> str:
        """The order of devices, which a placement can change, that is faster by enough."""
        found = [
            (_order(layout), [each.kind.name for each in devices], layout)
            for devices in islice(permutations(self.planner.devices), 1, MOST_ORDERS)
            for layout in replace(self.planner, devices=devices).layouts(best.pipelines)
            if layout.fits and layout.split == "balanced"
        ]
        if not found:
            return ""
        _, names, layout = min(found, key=lambda each: each[0])
        if _ratio(best, layout) < 1 + MATTERS:
            return ""
        shorter = f"{1 / _ratio(best, layout):.2f} times as long"
        return f"with the devices in the order {', '.join(names)} it takes {shorter}{_seconds(layout)}"

    def _setting(self, best: StageLayout) -> str:
        """What a recipe sets to train so, unless it does, or has no stages and data parallelism is no slower."""
        asked = self.planner.settings.stages
        assert asked is not None, "settings with stages"
        if self.has_stages and best.split != "even" and best.pipelines == asked.pipelines:
            return ""
        if not self.has_stages and any(seconds <= (best.step_seconds or 0.0) for seconds, _ in self._timed):
            return ""
        block = self.planner.block_of(best.pipelines)
        given = block.model_dump(mode="json", include={"pipelines", "schedule", "micro_batches"})
        given |= {"count": block.count} if block.schedule != "1f1b" and best.split != "even" else {}
        given |= {"layers": list(best.layers)} if best.split == "even" else {}
        defaults = {name: field.default for name, field in type(block).model_fields.items()}
        shown = {name: value for name, value in given.items() if value != defaults[name] or name == "micro_batches"}
        values = ", ".join(f"{name}: {value}" for name, value in shown.items())
        number = "one pipeline" if best.pipelines == 1 else f"{best.pipelines} pipelines"
        return f"set stages: {{{values}}} to train in {number}"


def _seconds(layout: StageLayout) -> str:
    return "" if layout.step_seconds is None else f", {layout.step_seconds:.3g} s a step"


def _ratio(layout: StageLayout, other: StageLayout) -> float:
    """Time of a step beside another layout's, or of the slowest devices where no times are known."""
    if layout.step_seconds is None or other.step_seconds is None:
        return layout.slowest / other.slowest
    return layout.step_seconds / other.step_seconds
