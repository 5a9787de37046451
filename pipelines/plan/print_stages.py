"""A training's stages on a terminal: a table of layouts, then the one of the recipe and the fastest."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from components.train.balance.stage_layout import DeviceStage, StageLayout
from pipelines.plan.compare_layouts import in_words
from pipelines.plan.document import PlannedLayout, PlannedStages
from pipelines.plan.words import NO_TIME, all_time, print_text

GIB = 2**30
COLUMNS = (
    "pipelines",
    "split",
    "layers of each stage",
    "GiB of each stage",
    "of",
    "slowest",
    "idle",
    "fits",
    "step, s",
)


def print_stages(stages: PlannedStages, steps: int, console: Console) -> None:
    """Print why stages are shown, all layouts, and what the chosen and the best ones take."""
    print_text(f"in stages, as {stages.asked}", "", console)
    if stages.refused:
        print_text(f"not possible: {stages.refused}", "red", console)
        return
    print_text(
        "slowest: the slowest device beside perfectly divided work; idle: while pipelines fill and drain",
        "italic",
        console,
    )
    table = Table(*COLUMNS)
    for planned in stages.layouts:
        table.add_row(*_cells(planned.layout), style="" if planned.layout.fits else "red")
    console.print(table)
    shown = dict.fromkeys(place for place in (stages.chosen, stages.best) if place is not None)
    for place in shown:
        as_recipe = " (as the recipe has it)" if place == stages.chosen else ""
        _print_layout(stages.layouts[place], as_recipe, steps, console)
    print_text(stages.why, "" if stages.best is not None else "red", console)


def _print_layout(planned: PlannedLayout, as_recipe: str, steps: int, console: Console) -> None:
    layout = planned.layout
    kept = "recomputed" if layout.recomputed else "kept"
    text = (
        f"{in_words(layout)}{as_recipe}: {layout.schedule}, {layout.micro_batches} micro-batches of "
        f"{layout.positions:,} positions, activations {kept}; {_time(planned, steps)}"
    )
    for line in (text, f"  {layout.why}"):
        print_text(line, "" if layout.fits else "red", console)


def _time(planned: PlannedLayout, steps: int) -> str:
    layout = planned.layout
    if layout.step_seconds is None:
        return NO_TIME
    step = (
        f"{layout.step_seconds:.3g} s a step ({layout.computing_seconds:.3g} passes, {layout.reduce_seconds:.3g} "
        "reducing gradients)"
    )
    return all_time(planned, step, steps)


def _cells(layout: StageLayout) -> list[str]:
    runs = [list(run) for _, run in groupby(layout.stages, key=lambda stage: stage.devices)]
    return [
        f"{layout.pipelines}",
        layout.split,
        "; ".join(f"{run[0].devices}: {', '.join(str(stage.layers) for stage in run)}" for run in runs),
        "; ".join(_memory(run) for run in runs),
        "; ".join(f"{run[0].usable_bytes / GIB:.1f}" for run in runs),
        f"{layout.slowest:.2f}",
        f"{layout.bubble:.0%}",
        "yes" if layout.fits else "no",
        "–" if layout.step_seconds is None else f"{layout.step_seconds:.3g}",
    ]


def _memory(run: Sequence[DeviceStage]) -> str:
    return ", ".join(f"{stage.memory_bytes / GIB:.1f}" for stage in run)
