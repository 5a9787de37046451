"""A model that is only an endpoint is a row of the table: the demo's teacher, served, answers as its files do."""

from pathlib import Path

from components.collect.benchmarks.import_benchmarks import import_benchmarks
from components.collect.settings import QuestionSettings
from components.compare.compare import compare_models, read_table
from components.compare.settings import CompareSettings
from components.evaluate.evaluate import evaluate_model
from components.evaluate.settings import EvaluationSettings
from components.models.reference import package_folder
from components.publish.publish import publish_best, read_report
from components.publish.settings import PublishSettings
from components.shared.outputs.library import Library
from components.shared.rows import Sample
from tests.transformers_server import transformers_server

TEACHER = "package:demo/teacher"
ASKED = {"benchmarks": [{"name": "demo", "max_tokens": 40, "limit": 12}]}


def test_a_served_teacher_is_a_row_that_equals_its_files(tmp_path: Path) -> None:
    library = Library(str(tmp_path / "store"))
    check = {"kind": "exact", "ignore_case": False}
    source = {"name": "demo", "uri": "package:demo/heldout.jsonl", "check": check}
    questions = import_benchmarks(library, QuestionSettings.model_validate({"benchmarks": [source]}))
    files = EvaluationSettings.model_validate(ASKED)
    evaluations = {
        "base": evaluate_model(library, files, questions, "package:demo/student", "base"),
        "same": evaluate_model(library, files, questions, TEACHER, "same"),
    }
    folder = package_folder(TEACHER)
    with transformers_server(folder, tmp_path / "server") as url:
        # Connecting waits until the server is there: 12 tries take four minutes.
        served = {"backend": "openai", "model": str(folder), "endpoints": [url], "attempts": 12}
        endpoint = EvaluationSettings.model_validate({**ASKED, "generator": served})
        evaluations["teacher"] = evaluate_model(library, endpoint, questions, "", "teacher")
    answers = {
        name: [(sample.id, sample.outputs) for sample in library.read_rows(manifest, Sample, "samples/demo")]
        for name, manifest in evaluations.items()
    }
    assert answers["teacher"] == answers["same"] != answers["base"]

    comparison = compare_models(library, CompareSettings(), evaluations)
    rows = {row.name: row for row in read_table(library, comparison).variants}
    assert rows["teacher"].endpoint and not rows["same"].endpoint
    assert rows["teacher"].scores == rows["same"].scores
    assert rows["teacher"].against_base == rows["same"].against_base
    report = read_report(library, publish_best(library, PublishSettings(), comparison))
    assert {row.name: row.kind for row in report.variants} == {"base": "base", "same": "outside", "teacher": "endpoint"}
    assert report.gate.winner is None and [verdict.variant for verdict in report.gate.verdicts] == ["same"]
