"""A study as one self-contained HTML page: styles and drawings are inline; no script, no request."""

from pathlib import Path

from components.analyse.report.plots import draw_study
from components.analyse.statistics.beta import FEW_QUESTIONS
from components.analyse.study_schema import ArmFacts, MeanFacts, Study
from components.shared.html_page import page_styles, page_templates
from components.shared.page.formats import FILTERS

FOLDER = Path(__file__).parent
PAGE, STYLES = "study.html.jinja", "study.css"
MARKS = {"better": "▲", "worse": "▼", "unclear": "≈"}


def write_page(study: Study) -> str:
    """The page. The same study gives the same bytes.

    Raises:
        SettingsError: matplotlib is not installed.
    """
    environment = page_templates(FOLDER)
    environment.filters |= FILTERS | {"score": score, "bounds": bounds}
    return environment.get_template(PAGE).render(
        study=study,
        styles=page_styles() + (FOLDER / STYLES).read_text(encoding="utf-8"),
        plots=draw_study(study),
        verdicts=[(verdict_of(arm), sentence) for arm, sentence in zip(_chains(study), study.sentences, strict=True)],
        highest=max((arm for arm in study.arms if arm.score), key=_mean, default=None),
        best=next((arm for arm in study.arms if arm.name == study.best_single_stage), None),
        marks=MARKS,
        few=FEW_QUESTIONS,
        confidence=f"{100 * (1 - study.alpha):g} %",
    )


def verdict_of(arm: ArmFacts) -> str:
    """Whether an arm of several stages exceeds the best single-stage arm: better, worse or unclear."""
    return arm.against_best.verdict if arm.against_best else "unclear"


def score(facts: MeanFacts) -> str:
    """A mean in per cent, ± its standard deviation over seeds where there are several."""
    spread = "" if facts.deviation is None else f" ± {100 * facts.deviation:.1f}"
    return f"{100 * facts.mean:.1f}{spread}"


def bounds(facts: MeanFacts) -> str:
    """The interval of a score in per cent."""
    low, high = facts.interval
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _chains(study: Study) -> list[ArmFacts]:
    """The arms that the sentences are about, in their order."""
    return [arm for arm in study.arms if len(arm.stages) > 1]


def _mean(arm: ArmFacts) -> float:
    return arm.score.mean if arm.score else 0.0
