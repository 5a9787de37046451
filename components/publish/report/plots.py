"""The report's plots: SVG by matplotlib, with the page's colours and fonts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.publish.report_schema import LossCurve, Report
from components.shared.intervals import score_interval
from components.shared.page.drawings import INKS, Plot, as_svg, drawing, panel
from components.shared.rows import Score

MOST_LABELS = 20


@dataclass(frozen=True)
class Plots:
    """All drawings of a report; empty or None where the run has nothing to draw."""

    scores: tuple[Plot, ...]
    losses: tuple[Plot, ...]
    labels: Plot | None
    drops: Plot | None


def draw_plots(report: Report) -> Plots:
    """Draw what the report holds; the same report gives the same bytes.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    benchmarks = dict.fromkeys(score.benchmark for variant in report.variants for score in variant.scores)
    with drawing():
        return Plots(
            scores=tuple(_score_plot(report, benchmark) for benchmark in benchmarks),
            losses=tuple(_loss_plot(curve) for curve in report.losses),
            labels=_label_plot(report),
            drops=_drop_plot(report),
        )


def _label_plot(report: Report) -> Plot | None:
    """Rows by primary label before and after balancing: the largest labels, and the rest together."""
    before, after = report.data.labels_before, report.data.labels_after
    groups = [(name, counts) for name, counts in (("before", before), ("after", after)) if counts]
    if not groups:
        return None
    names = _largest([counts for _, counts in groups])
    rows = {name: [_count(counts, name, names) for _, counts in groups] for name in names}
    title = "Rows by primary label" + (", before and after curation" if len(groups) == 2 else "")
    words = "; ".join(f"{name}: {' to '.join(f'{n:,}' for n in numbers)}" for name, numbers in rows.items())
    return Plot(title, words, bars("labels", rows, [name for name, _ in groups]))


def _drop_plot(report: Report) -> Plot | None:
    """Removed rows by reason: those that could not be read, and those that curation dropped."""
    data = report.data
    rows = {f"{reason} (rejected)": [count] for reason, count in (data.rejected or {}).items()}
    rows |= {reason: [count] for reason, count in (data.drops or {}).items()}
    if not rows:
        return None
    rows = dict(sorted(rows.items(), key=lambda item: -item[1][0])[:MOST_LABELS])
    words = "; ".join(f"{name}: {count:,}" for name, (count,) in rows.items())
    return Plot("Rows removed, by reason", words, bars("drops", rows, []))


def _score_plot(report: Report, benchmark: str) -> Plot:
    scored = [
        (variant.name, score) for variant in report.variants for score in variant.scores if score.benchmark == benchmark
    ]
    endpoints = {variant.name for variant in report.variants if variant.kind == "endpoint"}
    base = next((score.value for name, score in scored if name == report.run.base), None)
    figure, axes = panel(0.55 + 0.27 * len(scored))
    for row, (name, score) in enumerate(scored):
        ink = "accent" if name == report.gate.winner else "soft" if name == report.run.base else "ink"
        low, high = score_interval(score)
        axes.errorbar(
            100 * score.value,
            row,
            xerr=[[100 * (score.value - low)], [100 * (high - score.value)]],
            color=INKS[ink],
            **_dot(ink, hollow=name in endpoints),
        )
    if base is not None:
        axes.axvline(100 * base, color=INKS["soft"], linewidth=1, linestyle=(0, (3, 3)), zorder=0)
    axes.set_yticks(range(len(scored)), [_short(name) for name, _ in scored])
    axes.set_ylim(len(scored) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.set_xlabel("per cent, with 95 % interval (Wilson)")
    words = "; ".join(f"{name} {100 * s.value:.1f} % ({_bounds(s)})" for name, s in scored)
    return Plot(benchmark, words, as_svg(figure, f"score-{benchmark}"))


def _bounds(score: Score) -> str:
    low, high = score_interval(score)
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _dot(ink: str, hollow: bool) -> dict[str, Any]:
    return {
        "fmt": "o",
        "fillstyle": "none" if hollow else "full",
        "markersize": 6.5 if ink == "accent" else 5,
        "elinewidth": 2 if ink == "accent" else 1.3,
        "capsize": 0,
    }


def _loss_plot(curve: LossCurve) -> Plot:
    figure, axes = panel(2.0)
    axes.grid(axis="y")
    axes.grid(visible=False, axis="x")
    axes.plot([p.step for p in curve.points], [p.loss for p in curve.points], color=INKS["accent"], linewidth=1.4)
    axes.tick_params(axis="y", labelcolor=INKS["soft"])
    axes.margins(x=0.01)
    axes.set_xlabel("optimiser steps")
    first, last = curve.points[0], curve.points[-1]
    words = f"training loss from {first.loss:.4g} at step {first.step:g} to {last.loss:.4g} at step {last.step:g}"
    return Plot(curve.task, words, as_svg(figure, f"loss-{curve.task}"))


def _short(name: str, most: int = 26) -> str:
    """A name that leaves room for the plot."""
    return name if len(name) <= most else name[: most - 1] + "…"


def _largest(counts: Sequence[Mapping[str, int]]) -> list[str]:
    """The names with the largest counts, and `others` when there are more."""
    total = {name: max(c.get(name, 0) for c in counts) for name in dict.fromkeys(n for c in counts for n in c)}
    names = sorted(total, key=lambda name: (-total[name], name))
    return names if len(names) <= MOST_LABELS else [*names[: MOST_LABELS - 1], f"{len(names) - MOST_LABELS + 1} others"]


def _count(counts: Mapping[str, int], name: str, names: list[str]) -> int:
    if name in counts:
        return counts[name]
    return sum(n for label, n in counts.items() if label not in names) if name == names[-1] else 0


def bars(name: str, rows: Mapping[str, list[int]], series: Sequence[str]) -> str:
    """Horizontal bars with their numbers; of two series the first is pale."""
    width = max(len(values) for values in rows.values())
    figure, axes = panel(0.35 + 0.26 * len(rows) * (1 + 0.35 * (width - 1)))
    axes.grid(visible=False)
    height = 0.74 / width
    for index in range(width):
        places = [row + (index - (width - 1) / 2) * height for row in range(len(rows))]
        ink = "accent" if index == width - 1 else "quiet"
        values = [numbers[index] for numbers in rows.values()]
        drawn = axes.barh(
            places, values, height=height * 0.92, color=INKS[ink], label=series[index] if series else None
        )
        axes.bar_label(drawn, [f"{value:,}" for value in values], padding=3, color=INKS["soft"], fontsize=8)
    axes.set_yticks(range(len(rows)), [_short(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    if len(series) > 1:
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(series), fontsize=8)
    return as_svg(figure, name)
