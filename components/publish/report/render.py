"""The report as one self-contained HTML page: styles and drawings are inline; no script, no request."""

from pathlib import Path
from typing import Any

import yaml

from components.publish.gate.scores import against_base, score_of
from components.publish.report.draw_lineage import draw_lineage
from components.publish.report.plots import CONFIDENCE, draw_plots
from components.publish.report_schema import Report, VariantFacts
from components.shared.html_page import page_templates
from components.shared.outputs.digest import hex_of
from components.shared.rows import Comparison, PartScores, Score
from components.shared.text.counted import counted

FOLDER = Path(__file__).parent
PAGE, STYLES = "report.html.jinja", "report.css"


def write_report(report: Report) -> str:
    """The page. The same report gives the same bytes.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    environment = page_templates(FOLDER)
    environment.filters |= {
        "percent": percent,
        "signed": signed,
        "interval": interval,
        "reach": reach,
        "p_value": p_value,
        "duration": duration,
        "number": number,
        "counted": counted,
        "compact": compact,
        "size": size,
        "share": share,
        "plain": plain,
        "as_yaml": as_yaml,
        "short": lambda digest: hex_of(digest, 16),
    }
    return environment.get_template(PAGE).render(
        report=report,
        styles=(FOLDER / STYLES).read_text(encoding="utf-8"),
        plots=draw_plots(report),
        lineage=draw_lineage(report),
        benchmarks=list(dict.fromkeys(score.benchmark for variant in report.variants for score in variant.scores)),
        headline=headline(report),
        mark=lambda item: mark(item, report.gate.rule.alpha),
        score=_score,
        against_base=against_base,
        longest=max(step.cost.seconds for step in report.steps) or 1.0,
    )


def headline(report: Report) -> dict[str, Any]:
    """The figures at the top: the chosen variant, or else the best one, on the questions that decide."""
    benchmark = report.run.benchmark
    others = [v for v in report.variants if v.name != report.run.base and v.kind != "endpoint"]
    best = max(others, key=lambda v: (v.name == report.gate.chosen, score_of(v, benchmark) or 0.0), default=None)
    base = next(variant for variant in report.variants if variant.name == report.run.base)
    return {
        "best": best,
        "score": _score(best.confirmation, benchmark) if best else None,
        "base_score": _score(base.confirmation, benchmark),
        "difference": against_base(best.confirmation, benchmark) if best else None,
        "passed": sum(verdict.passed for verdict in report.gate.verdicts),
        "tried": len(report.gate.verdicts),
    }


def mark(item: Comparison, alpha: float) -> str:
    """Whether a difference is more than noise: better, worse or same."""
    if not item.p_value < alpha:
        return "same"
    return "better" if item.difference > 0 else "worse"


def percent(score: Score | float) -> str:
    """A score in per cent, with its standard error where it has one: 62.4 ± 2.2."""
    if isinstance(score, Score):
        return f"{100 * score.value:.1f} ± {100 * score.standard_error:.1f}"
    return f"{100 * score:.1f}"


def signed(value: Comparison | float) -> str:
    """A difference in points with its sign, a true minus."""
    fraction = value.difference if isinstance(value, Comparison) else value
    text = f"{100 * fraction:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")


def interval(item: Comparison) -> str:
    """The 95 % interval of a difference in points."""
    reach = CONFIDENCE * item.standard_error
    return f"{signed(item.difference - reach)} to {signed(item.difference + reach)}"


def reach(low_high: tuple[float, float]) -> str:
    """An interval of differences in points."""
    low, high = low_high
    return f"{signed(low)} to {signed(high)}"


def p_value(value: float | None) -> str:
    """A p-value to three decimal places, small ones as a bound."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """Seconds in words: 4.2 s, 1 min 23 s, 2 h 05 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02d} min"


def number(value: float) -> str:
    """An integer with separators, any other number with four digits."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.4g}"


def compact(value: int) -> str:
    """A large count in three digits: 713k, 1.2M."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return str(value)


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def share(value: float | None) -> str:
    """A share in per cent; a dash for None."""
    return "–" if value is None else f"{100 * value:.1f} %"


def plain(name: str) -> str:
    """The name of a count, with spaces."""
    return name.replace("_", " ")


def as_yaml(value: Any) -> str:
    """Settings as YAML."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def _score(scores: VariantFacts | PartScores | None, benchmark: str) -> Score | None:
    found = scores.scores if scores else ()
    return next((score for score in found if score.benchmark == benchmark), None)
