"""The report as one self-contained HTML page: styles and drawings are inline; no script, no request."""

from pathlib import Path
from typing import Any

from components.publish.gate.scores import against_base, full_score, score_of
from components.publish.report.draw_lineage import draw_lineage
from components.publish.report.draw_rounds import draw_rounds
from components.publish.report.plots import draw_plots
from components.publish.report_schema import Report
from components.shared.html_page import page_styles, page_templates
from components.shared.outputs.digest import hex_of
from components.shared.page.formats import FILTERS
from components.shared.rows import Comparison

FOLDER = Path(__file__).parent
PAGE = "report.html.jinja"


def write_report(report: Report) -> str:
    """The page. The same report gives the same bytes.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    environment = page_templates(FOLDER)
    environment.filters |= FILTERS | {"short": lambda digest: hex_of(digest, 16)}
    return environment.get_template(PAGE).render(
        report=report,
        styles=page_styles(),
        plots=draw_plots(report),
        rounds=draw_rounds(report.curriculum) if report.curriculum else None,
        lineage=draw_lineage(report),
        benchmarks=list(dict.fromkeys(score.benchmark for variant in report.variants for score in variant.scores)),
        headline=headline(report),
        mark=lambda item: mark(item, report.gate.rule.alpha),
        score=full_score,
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
        "score": full_score(best.confirmation, benchmark) if best else None,
        "base_score": full_score(base.confirmation, benchmark),
        "difference": against_base(best.confirmation, benchmark) if best else None,
        "passed": sum(verdict.passed for verdict in report.gate.verdicts),
        "tried": len(report.gate.verdicts),
    }


def mark(item: Comparison, alpha: float) -> str:
    """Whether a difference is more than noise: better, worse or same."""
    if not item.p_value < alpha:
        return "same"
    return "better" if item.difference > 0 else "worse"
