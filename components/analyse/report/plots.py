"""The plots of a study's page: forest plots, learning-rate curves, gain against compute; every seed is a point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.analyse.study_schema import ArmFacts, DifferenceFacts, Study, SweepFacts
from components.shared.page.drawings import INKS, Plot, as_svg, drawing, panel
from components.shared.page.formats import power_of_ten, reach, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK_OF = {"better": "accent", "worse": "second", "unclear": "ink"}
SWEEP_INCHES = 1.9
NAME_LENGTH = 26


@dataclass(frozen=True)
class StudyPlots:
    """All drawings of a study; None where there is nothing to draw."""

    against_base: Plot | None
    against_best: Plot | None
    compute: Plot | None
    sweeps: tuple[Plot, ...]


def draw_study(study: Study) -> StudyPlots:
    """Draw a study; the same study gives the same bytes.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    with drawing():
        best = f"Against {study.best_single_stage}, the best single-stage arm"
        return StudyPlots(
            against_base=_forest(study, "Against the base", "forest-base", lambda arm: arm.against_base),
            against_best=_forest(study, best, "forest-best", lambda arm: arm.against_best),
            compute=_compute_plot(study),
            sweeps=tuple(
                _sweep_plot(study, arm, f"sweep-{number}")
                for number, arm in enumerate(study.arms)
                if any(point.mean is not None for point in arm.sweep)
            ),
        )


def _forest(study: Study, title: str, name: str, choose: Callable[[ArmFacts], DifferenceFacts | None]) -> Plot | None:
    """One line for each arm: the mean difference with its interval, and every seed as a point."""
    found = [(arm.name, difference) for arm in study.arms if (difference := choose(arm)) is not None]
    if not found:
        return None
    figure, axes = panel(0.55 + 0.34 * len(found))
    for row, (_, difference) in enumerate(found):
        ink = INKS[INK_OF[difference.verdict]]
        low, high = (100 * bound for bound in difference.interval)
        axes.plot([low, high], [row, row], color=ink, linewidth=1.6, zorder=2)
        axes.plot([100 * difference.mean], [row], "o", color=ink, markersize=5.5, zorder=3)
        axes.plot(
            [100 * value for value in difference.by_seed], [row + 0.25] * len(difference.by_seed), "o",
            color=INKS["quiet"], markersize=3, zorder=1,
        )  # fmt: skip
    axes.axvline(0, color=INKS["soft"], linewidth=1, linestyle=(0, (3, 3)), zorder=0)
    axes.set_yticks(range(len(found)), [_short(arm) for arm, _ in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel(f"points, with {100 * (1 - study.alpha):g} % interval; small: each seed")
    words = "; ".join(f"{arm} {signed(each.mean)} points, {reach(each.interval)}" for arm, each in found)
    return Plot(title, words, as_svg(figure, name))


def _sweep_plot(study: Study, arm: ArmFacts, name: str) -> Plot:
    """The mean on validation by learning rate, every seed as a point, the chosen rate, and those that diverged."""
    figure, axes = panel(SWEEP_INCHES)
    _turn_grid(axes)
    tried = [(float(point.rate), point) for point in arm.sweep if point.mean is not None]
    for rate, point in tried:
        axes.plot([rate] * len(point.by_seed), _percents(list(point.by_seed.values())), "o", color=INKS["quiet"], ms=3)
    means = _percents([point.mean or 0.0 for _, point in tried])
    axes.plot([rate for rate, _ in tried], means, "-o", color=INKS["accent"], linewidth=1.4, markersize=4)
    for (rate, point), mean in zip(tried, means, strict=True):
        if point.chosen:
            axes.plot([rate], [mean], "o", color=INKS["accent"], markersize=10, fillstyle="none")
    out = [point for point in arm.sweep if point.diverged]
    for point in out:
        at, ink = (float(point.rate), 0.5), INKS["second"]
        axes.annotate("diverged", at, xycoords=("data", "axes fraction"), rotation=90, ha="center", va="center",
                      fontsize=8, color=ink)  # fmt: skip
    if study.base_validation is not None:
        level = 100 * study.base_validation
        axes.axhline(level, color=INKS["soft"], linewidth=1, linestyle=(0, (3, 3)), zorder=0)
    axes.set_xscale("log")
    axes.minorticks_off()
    shown = [*tried, *((float(point.rate), point) for point in out)]
    # An annotation does not extend the axis.
    axes.plot([rate for rate, _ in shown], [means[0]] * len(shown), alpha=0)
    axes.set_xticks([rate for rate, _ in shown], [point.rate for _, point in shown])
    axes.margins(x=0.1, y=0.15)
    axes.set_xlabel("learning rate; ring: chosen")
    words = "; ".join(f"{point.rate}: {_outcome(point)}" for point in arm.sweep if point.diverged or point.by_seed)
    return Plot(arm.name, f"{words}; chosen {arm.rate}", as_svg(figure, name))


def _outcome(point: SweepFacts) -> str:
    return "diverged" if point.mean is None else f"{100 * point.mean:.1f} %"


def _compute_plot(study: Study) -> Plot | None:
    """The gain over the base by the compute of one model."""
    found = [(arm.name, arm.compute.flops, arm.against_base) for arm in study.arms if arm.compute and arm.against_base]
    if not found:
        return None
    figure, axes = panel(0.9 + 0.3 * len(found))
    _turn_grid(axes)
    for _, flops, difference in found:
        ink = INKS[INK_OF[difference.verdict]]
        axes.plot([flops, flops], _percents(difference.interval), color=ink, linewidth=1.2)
        axes.plot([flops], [100 * difference.mean], "o", color=ink, markersize=5)
    # Names in a column beside the plot, in the order of the gains, so that those of near points do not overlap.
    for number, (name, flops, difference) in enumerate(sorted(found, key=lambda each: each[2].mean)):
        axes.annotate(
            _short(name), (flops, 100 * difference.mean), xytext=(1.06, (number + 0.5) / len(found)),
            textcoords="axes fraction", va="center", fontsize=8, color=INKS["ink"],
            arrowprops={"arrowstyle": "-", "color": INKS["quiet"], "linewidth": 0.5},
        )  # fmt: skip
    axes.axhline(0, color=INKS["soft"], linewidth=1, linestyle=(0, (3, 3)), zorder=0)
    axes.set_xscale("log")
    axes.minorticks_off()
    least, most = min(each[1] for each in found), max(each[1] for each in found)
    axes.set_xticks([least, most], [power_of_ten(least), power_of_ten(most)])
    axes.margins(x=0.12, y=0.1)
    axes.set_xlabel("model FLOPs of one model, from the base on")
    axes.set_ylabel("gain over the base, points")
    words = "; ".join(f"{name} {flops:.3g} FLOPs, {signed(gain.mean)} points" for name, flops, gain in found)
    return Plot("Gain against compute", words, as_svg(figure, "gain-compute"))


def _turn_grid(axes: "Axes") -> None:
    axes.grid(axis="y")
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="y", labelcolor=INKS["soft"])


def _percents(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]


def _short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"
