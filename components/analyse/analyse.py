"""Analyse a study: which arm is better than the base and than the best single-stage arm, and by how much."""

from collections.abc import Mapping

from components.analyse.report.render import write_page
from components.analyse.settings import AnalyseSettings
from components.analyse.step import STEP, STUDY
from components.analyse.study.judge import judge_study
from components.analyse.study.runs import StudyRuns
from components.analyse.study_schema import Study
from components.shared.log import say
from components.shared.outputs.compared_model import MODEL
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.outputs.run_pointer import found_in_run
from components.shared.parse_json import parse_json

STUDY_FILE = "study.json"
PAGE_FILE = "report.html"


def analyse_study(library: Library, settings: AnalyseSettings, evaluations: Mapping[str, Manifest]) -> Manifest:
    """Judge the arms of a study, and write study.json and report.html.

    Args:
        library: where outputs are stored.
        settings: arms, rates, seeds, benchmarks and the tests.
        evaluations: by ARM/RATE/SEED/PART. Those that the settings foresee and that are not there failed: they are
            named, and their arm is judged on the seeds that are there.

    Returns:
        The manifest of the study; its parents are the evaluations, by their keys, and their models.

    Raises:
        InputError: a key or a benchmark that the study does not have, no evaluation of the base, or models that were
            asked other questions.
        DamagedError: a file of an evaluation is not what its manifest promises.
        SettingsError: matplotlib is not installed.
    """
    runs = StudyRuns(library, settings, evaluations)
    # Models that give the same answers have equal evaluations, and yet other trainings behind them.
    models = {f"{MODEL}/{key}": manifest.parents[MODEL] for key, manifest in evaluations.items()}
    inputs: dict[str, Manifest | Parent] = {**evaluations, **models}
    output = Output(library, STUDY, settings, inputs)

    def work() -> Manifest:
        study = judge_study(library, runs)
        for line in (*study.warnings, *study.sentences):
            say(STEP.name, line)
        # Arms and rates keep their order, so that the page made from the file again is the same.
        output.write_bytes(STUDY_FILE, study.model_dump_json(indent=1).encode() + b"\n")
        output.write_bytes(PAGE_FILE, write_page(study).encode())
        return output.finish(_counts(study))

    return output.made(work)


def found_evaluations(library: Library, evaluations: Mapping[str, str]) -> dict[str, Manifest]:
    """The evaluations that are complete, by their keys.

    An empty URI, one without a manifest, and a `task:NAME` without an output in this run are failed runs.
    """
    uris = found_in_run(library, evaluations)
    found = {key: library.find(library.address_of(uri)) for key, uri in uris.items() if uri}
    return {key: manifest for key, manifest in found.items() if manifest is not None}


def read_study(library: Library, manifest: Manifest) -> Study:
    """The study of an output of this step. Raises DamagedError."""
    data = library.read_bytes(manifest, STUDY_FILE)
    return parse_json(data, Study, f"{manifest.address}/{STUDY_FILE}", "run the analyse step again")


def read_page(library: Library, manifest: Manifest) -> str:
    """The study's HTML page. Raises DamagedError."""
    return library.read_bytes(manifest, PAGE_FILE).decode()


def _counts(study: Study) -> dict[str, float]:
    """The numbers that Kubeflow shows as metrics."""
    scores = {arm.name: arm.score.mean for arm in study.arms if arm.score} | {"base": study.base.mean}
    differences = [d for arm in study.arms for d in (arm.against_base, arm.against_best) if d and d.family]
    return {
        "arms": len(study.arms),
        "arms_failed": sum(arm.status == "failed" for arm in study.arms),
        "evaluations_missing": len(study.missing),
        "rates_diverged": sum(bool(point.diverged) for arm in study.arms for point in arm.sweep),
        "tests": sum(family.size for family in study.families),
        "better": sum(difference.verdict == "better" for difference in differences),
        "worse": sum(difference.verdict == "worse" for difference in differences),
        "warnings": len(study.warnings),
        "trainings": study.total.trainings,
        "tokens": study.total.tokens,
        "flops": study.total.flops,
        "seconds_trainings": round(study.total.seconds, 3),
    } | {f"score_{name}": score for name, score in scores.items()}
