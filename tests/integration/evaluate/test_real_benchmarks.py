"""The paper's five benchmarks from their original files, and IFEval and BBH in small, through a tiny model."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.collect.benchmarks.import_benchmarks import import_benchmarks
from components.collect.settings import QuestionSettings
from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.evaluate import evaluate_model
from components.evaluate.settings import EvaluationSettings
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Question, Sample, Score
from components.shared.sandbox.run_python import SandboxLimits
from tests.tiny_model import save_tiny_model

FIVE = ("gsm8k", "mmlu", "cmmlu", "ceval", "humaneval")
FILES = {
    **{"gsm8k": "gsm8k_test.jsonl", "mmlu": "mmlu.zip", "cmmlu": "cmmlu.zip", "ceval": "ceval.zip"},
    **{"humaneval": "HumanEval.jsonl.gz"},
}


@pytest.fixture(scope="module")
def data() -> Path:
    folder = Path(os.environ.get("TUTELAGE_TEST_DATA", "")) / "eval"
    if not (folder / "mmlu.zip").exists():
        pytest.skip("TUTELAGE_TEST_DATA names no folder with eval/mmlu.zip and the other original files")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("model"), num_hidden_layers=1, max_position_embeddings=1024))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def benchmarks(data: Path, root: str, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The original files, imported; IFEval and BBH are not among the test data, so two questions stand for each."""
    small = tmp_path_factory.mktemp("small")
    instruction = {"key": 1, "prompt": "Write no comma.", "kwargs": [{}]}
    rows = [{**instruction, "key": key, "instruction_id_list": ["punctuation:no_comma"]} for key in (1, 2)]
    (small / "input_data.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (small / "bbh").mkdir()
    examples = [{"input": "not True is", "target": "False"}, {"input": "not False is", "target": "True"}]
    (small / "bbh" / "boolean_expressions.json").write_text(json.dumps({"examples": examples}))
    sources = [
        *({"name": name, "uri": str(data / file)} for name, file in FILES.items()),
        {"name": "ifeval", "uri": str(small / "input_data.jsonl")},
        {"name": "bbh", "uri": str(small / "bbh")},
    ]
    return import_benchmarks(Library(root), QuestionSettings.model_validate({"benchmarks": sources}))


def test_all_seven_run_without_network(root: str, benchmarks: Manifest, model: str) -> None:
    wanted = [{"name": name, "limit": 20, "max_tokens": 16} for name in (*FIVE, "ifeval", "bbh")]
    began = time.monotonic()
    settings = EvaluationSettings.model_validate({"benchmarks": wanted})
    manifest = evaluate_model(Library(root), settings, benchmarks, model, "base")
    print(f"seven benchmarks in {time.monotonic() - began:.1f} s")
    found = [Score.model_validate(row) for row in json.loads(Library(root).read_bytes(manifest, "scores.json"))]
    counts = {score.benchmark: score.count for score in found if "/" not in score.benchmark}
    assert counts == {**dict.fromkeys(FIVE, 20), "ifeval": 2, "bbh": 2}
    assert manifest.counts["gsm8k"] == 0 and manifest.counts["humaneval"] == 0, "a random model solves nothing"
    subjects = {sample.id.split("/")[1] for sample in Library(root).read_rows(manifest, Sample, "samples/mmlu")}
    assert len(subjects) >= 18, "a limit takes of every subject"


def test_sizes_are_those_of_the_papers(root: str, benchmarks: Manifest) -> None:
    asked = dict.fromkeys(FIVE, 0)
    for question in Library(root).read_rows(benchmarks, Question):
        if question.split == "test" and question.benchmark in asked:
            asked[question.benchmark] += 1
    assert asked == {"gsm8k": 1319, "mmlu": 14042, "cmmlu": 11582, "ceval": 1346, "humaneval": 164}


def test_gold_answers_score_one_and_others_zero(root: str, benchmarks: Manifest) -> None:
    for question in Library(root).read_rows(benchmarks, Question):
        if question.split != "test" or question.benchmark not in {"mmlu", "cmmlu", "ceval", "gsm8k"}:
            continue
        benchmark = BENCHMARKS[question.benchmark]
        right = f"The answer is {question.answer}."
        wrong = (
            "The answer is 123456789." if question.benchmark == "gsm8k" else f"{'BCDA'['ABCD'.index(question.answer)]}"
        )
        assert benchmark.judge(question, right, SandboxLimits()) == 1, question.id
        assert benchmark.judge(question, wrong, SandboxLimits()) == 0, question.id


@pytest.mark.parametrize("form", ["body", "function in a block"])
def test_canonical_solutions_pass_all_164_problems(root: str, benchmarks: Manifest, form: str) -> None:
    problems = [row for row in Library(root).read_rows(benchmarks, Question) if row.benchmark == "humaneval"]

    def reply(problem: Question) -> str:
        if form == "body":
            return problem.answer
        start = problem.question.rfind(f"def {problem.extra['entry_point']}")
        return f"Sure:\n```python\n{problem.question[start:]}{problem.answer}```\nDone."

    def points(problem: Question) -> float:
        return BENCHMARKS["humaneval"].judge(problem, reply(problem), SandboxLimits(cpu_seconds=20, wall_seconds=120))

    with ThreadPoolExecutor(2) as pool:
        failed = [row.id for row, score in zip(problems, pool.map(points, problems), strict=True) if score != 1]
    assert len(problems) == 164 and failed == []


def test_wrong_solutions_pass_none(root: str, benchmarks: Manifest) -> None:
    problems = [row for row in Library(root).read_rows(benchmarks, Question) if row.benchmark == "humaneval"]
    wrong = [BENCHMARKS["humaneval"].judge(problem, "    return object()\n", SandboxLimits()) for problem in problems]
    assert len(wrong) == 164 and sum(wrong) == 0
