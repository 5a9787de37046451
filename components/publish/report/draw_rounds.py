"""The drawings of a curriculum: pass rates before and after each round, the parts of problems, rewards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from components.publish.report.plots import bars
from components.publish.report_schema import CurriculumFacts, ProbeFacts, RewardCurve
from components.shared.page.drawings import INKS, PANEL_INCHES, Plot, as_svg, drawing
from components.shared.pass_rate import BINS

TITLES = {
    "reward": "reward",
    "useful_groups": "groups with different rewards",
    "entropy": "entropy, nats",
    "response_tokens": "tokens of a rollout",
    "truncated_share": "truncated rollouts",
    "clip_share": "clipped tokens",
}
"""What curves show; a share is one of 1."""
COLUMNS, ROW_INCHES = 2, 1.35


@dataclass(frozen=True)
class RoundPlots:
    """All drawings of a curriculum; empty where the run has nothing to draw."""

    rates: tuple[Plot, ...]
    rewards: tuple[Plot, ...]


def draw_rounds(curriculum: CurriculumFacts) -> RoundPlots:
    """Draw what the report holds; the same report gives the same bytes.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    with drawing():
        return RoundPlots(
            rates=tuple(_rate_plots(curriculum.probes)), rewards=tuple(map(_reward_plot, curriculum.rewards))
        )


def _rate_plots(probes: Sequence[ProbeFacts]) -> Iterator[Plot]:
    """For each probe that follows another one, both histograms; alone, each by itself."""
    by_task = {probe.task: probe for probe in probes}
    for probe in probes:
        before = by_task.get(probe.after or "")
        if before is not None:
            yield _rate_plot(f"Pass rates of {before.model} and, after training, of {probe.model}", (before, probe))
        elif all(other.after != probe.task for other in probes):
            yield _rate_plot(f"Pass rates of {probe.model}", (probe,))


def _rate_plot(title: str, probes: Sequence[ProbeFacts]) -> Plot:
    rows = {name: [probe.rates.get(name, 0) for probe in probes] for name in BINS}
    words = "; ".join(f"{name}: {' to '.join(f'{n:,}' for n in numbers)} problems" for name, numbers in rows.items())
    return Plot(title, words, bars(f"rates-{probes[-1].task}", rows, [probe.model for probe in probes]))


def _reward_plot(curve: RewardCurve) -> Plot:
    from matplotlib.figure import Figure

    height = -(-len(curve.values) // COLUMNS)
    figure = Figure(figsize=(PANEL_INCHES, 0.3 + ROW_INCHES * height), layout="constrained")
    grid = figure.subplots(height, COLUMNS, squeeze=False).reshape(-1)
    for axes, (name, values) in zip(grid, curve.values.items(), strict=False):
        _draw_curve(axes, TITLES.get(name, name), curve.steps, values)
    for axes in grid[len(curve.values) :]:
        axes.set_axis_off()
    words = "; ".join(
        f"{TITLES.get(name, name)} from {known[0]:.3g} to {known[-1]:.3g}"
        for name, values in curve.values.items()
        if (known := [value for value in values if value is not None])
    )
    return Plot(curve.task, words, as_svg(figure, f"rewards-{curve.task}"))


def _draw_curve(axes: Any, title: str, steps: Sequence[float], values: Sequence[float | None]) -> None:
    known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    axes.plot([step for step, _ in known], [value for _, value in known], color=INKS["accent"], linewidth=1.3)
    axes.set_title(title, fontsize=8.5, loc="left")
    axes.grid(visible=False, axis="x")
    axes.grid(axis="y")
    axes.tick_params(labelsize=7.5, labelcolor=INKS["soft"])
    if not any(value for _, value in known):
        axes.set_ylim(0, 1)
    axes.locator_params(nbins=4)
    axes.margins(x=0.02)
