"""The analyse component."""

from typing import Any

from kfp import dsl
from kfp.dsl import HTML, Artifact, Markdown, Metrics, Output

from components.analyse.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def analyse(
    root: str,
    settings: dict[str, Any],
    evaluations: dict[str, str],
    study: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Judge the arms of a study, and write its report.

    Args:
        root: URI of the store's root.
        settings: the step's settings (AnalyseSettings); those left out have their defaults.
        evaluations: URIs of the evaluations in the store (evaluation/1), by ARM/RATE/SEED/PART; an empty one failed.
            `task:NAME` is the output of this run's task of that name, if it has one.

    Returns:
        study: manifest of the study (study/1), which holds study.json and report.html.
        report: the study as a page.
        metrics: each arm's score, and the numbers of tests, failures and warnings.
        summary: the sentences, the warnings, and the table of arms.
        Output: URI of the study in the store.
    """
    from pathlib import Path

    from components.analyse.analyse import analyse_study, found_evaluations, read_page
    from components.analyse.settings import AnalyseSettings
    from components.analyse.summarise import summarise
    from components.shared.outputs.library import Library
    from components.shared.outputs.manifest import Manifest
    from components.shared.outputs.run_pointer import point_from_run
    from components.shared.process.perform import hand_over
    from components.shared.process.run_component import run_component

    def work(library: Library) -> Manifest:
        found = found_evaluations(library, evaluations)
        return point_from_run(library, analyse_study(library, AnalyseSettings.model_validate(settings), found))

    def hand_over_with_page(library: Library, made: Manifest) -> str:
        Path(report.path).parent.mkdir(parents=True, exist_ok=True)
        Path(report.path).write_text(read_page(library, made), encoding="utf-8")
        return hand_over(made, library, study, metrics, (summary, summarise(library, made)))

    return run_component("analyse", root, work, hand_over_with_page)
