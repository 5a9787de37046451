"""A study as Markdown, which Kubeflow shows."""

from components.analyse.analyse import read_study
from components.analyse.study_schema import ArmFacts, DifferenceFacts, MeanFacts, Study
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.page.formats import p_value, reach, signed
from components.shared.text.counted import counted


def summarise(library: Library, manifest: Manifest) -> str:
    """The sentences, the warnings, and a line for each arm."""
    study = read_study(library, manifest)
    families = ", ".join(f"{family.name}: {counted(family.size, 'test')}" for family in study.families)
    return "\n".join(
        [
            f"# {study.title}",
            "",
            *(f"- **{sentence}**" for sentence in study.sentences),
            *(f"- {warning}" for warning in study.warnings),
            "",
            f"Scores on {study.benchmark} in percent, mean ± standard deviation over seeds; differences in points, "
            f"with {100 * (1 - study.alpha):g} % intervals and p-values after Holm's correction ({families}).",
            "",
            "| arm | learning rate | score | against the base | against the best single-stage arm |",
            "|---|---|---|---|---|",
            f"| base |  | {_score(study.base)} |  |  |",
            *(_row(study, arm) for arm in study.arms),
            "",
        ]
    )


def _row(study: Study, arm: ArmFacts) -> str:
    if arm.score is None:
        return f"| {arm.name} |  | {'diverged' if arm.diverged_on_test else 'failed'} |  |  |"
    best = "(the best)" if arm.name == study.best_single_stage else _difference(arm.against_best)
    return f"| {arm.name} | {arm.rate} | {_score(arm.score)} | {_difference(arm.against_base)} | {best} |"


def _score(facts: MeanFacts) -> str:
    spread = "" if facts.deviation is None else f" ± {100 * facts.deviation:.1f}"
    return f"{100 * facts.mean:.1f}{spread}"


def _difference(facts: DifferenceFacts | None) -> str:
    if facts is None:
        return ""
    tested = "" if facts.corrected_p_value is None else f", p {p_value(facts.corrected_p_value)}"
    return f"{signed(facts.mean)} ({reach(facts.interval)}{tested})"
