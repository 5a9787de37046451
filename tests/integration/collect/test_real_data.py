"""Real published files, from the folder in TUTELAGE_TEST_DATA."""

import os
from pathlib import Path
from typing import Any

import pytest

from components.collect.benchmarks.import_benchmarks import import_benchmarks
from components.collect.settings import DatasetSettings, QuestionSettings
from components.collect.sources.read_sources import read_sources
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Instruction, Question

VARIABLE = "TUTELAGE_TEST_DATA"


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder with `instructions/` and `eval/`."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"needs {VARIABLE}, a folder with instructions/ and eval/ as they were published")
    return Path(os.environ[VARIABLE])


@pytest.mark.parametrize(
    ("file", "rows", "rejected"),
    [
        ("gsm8k_train.jsonl", 7473, {}),
        ("t0_tasks.jsonl", 15_579, {"empty-response": 420}),
        ("gpteacher_roleplay.json", 3146, {}),
        ("self_instruct_seed_tasks.jsonl", 175, {}),
    ],
)
def test_instructions(file: str, rows: int, rejected: dict[str, int], data: Path, tmp_path: Path) -> None:
    source = {"name": "real", "uri": str(data / "instructions" / file)}
    manifest = read_sources(Library(str(tmp_path)), DatasetSettings.model_validate({"sources": [source]}))
    expected: dict[str, Any] = {f"rejected_as_{reason.replace('-', '_')}": n for reason, n in rejected.items()}
    assert manifest.counts["rows"] == rows
    assert {name: n for name, n in manifest.counts.items() if name.startswith("rejected_as_")} == expected
    found = list(Library(str(tmp_path)).read_rows(manifest, Instruction))
    assert len({row.id for row in found}) == rows
    if file == "gsm8k_train.jsonl":
        assert all(row.check is not None and "<<" not in row.response for row in found)


@pytest.mark.parametrize(
    ("name", "file", "size"),
    [
        ("gsm8k", "gsm8k_test.jsonl", (1319, 0, 1)),
        ("humaneval", "HumanEval.jsonl.gz", (164, 0, 1)),
        ("mmlu", "mmlu.zip", (14_042, 285, 57)),
        ("cmmlu", "cmmlu.zip", (11_582, 335, 67)),
        ("ceval", "ceval.zip", (1346, 260, 52)),
    ],
)
def test_benchmarks(name: str, file: str, size: tuple[int, int, int], data: Path, tmp_path: Path) -> None:
    asked, examples, subjects = size
    manifest = _imported(name, data / "eval" / file, tmp_path)
    assert (manifest.counts[f"test_{name}"], manifest.counts[f"dev_{name}"]) == (asked, examples)
    questions = list(Library(str(tmp_path)).read_rows(manifest, Question))
    assert len({question.subject for question in questions}) == subjects
    assert all(question.question.strip() and question.answer.strip() for question in questions)
    if name in {"mmlu", "cmmlu", "ceval"}:
        assert {len(question.choices) for question in questions} == {4}
        assert {question.answer for question in questions} == set("ABCD")


def test_gsm8k_answers_are_numbers(data: Path, tmp_path: Path) -> None:
    manifest = _imported("gsm8k", data / "eval" / "gsm8k_test.jsonl", tmp_path)
    for question in Library(str(tmp_path)).read_rows(manifest, Question):
        float(question.answer)


def test_humaneval_solutions_pass_their_tests(data: Path, tmp_path: Path) -> None:
    """The rows contain all that is needed to run a problem."""
    manifest = _imported("humaneval", data / "eval" / "HumanEval.jsonl.gz", tmp_path)
    for question in list(Library(str(tmp_path)).read_rows(manifest, Question))[:20]:
        space: dict[str, Any] = {}
        exec(question.question + question.answer + question.extra["tests"], space)
        space["check"](space[question.extra["entry_point"]])


def _imported(name: str, path: Path, root: Path) -> Manifest:
    settings = {"benchmarks": [{"name": name, "uri": str(path)}]}
    return import_benchmarks(Library(str(root)), QuestionSettings.model_validate(settings))
