"""Which questions are asked, and what is said when they are not there."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from components.evaluate.questions import read_questions, spread
from components.evaluate.settings import BenchmarkSettings, EvaluateSettings
from components.shared.errors import InputError
from components.shared.manifest import Manifest
from components.shared.output import Output
from components.shared.rows import Question
from components.shared.settings import Settings


def imported(root: Path, rows: list[Question]) -> Manifest:
    output = Output(str(root), "collect", 1, Settings(), {})
    output.write_rows("rows/00000", rows)
    return output.finish(Question.content)


def row(id_: str, **fields: object) -> Question:
    values = {"benchmark": "mmlu", "id": id_, "question": "?", "answer": "A", "subject": "law", **fields}
    return Question.model_validate(values)


def test_limit_spreads_over_the_whole_set() -> None:
    rows = [row(str(number)) for number in range(10)]
    assert [chosen.id for chosen in spread(rows, 4)] == ["0", "2", "5", "7"]
    assert spread(rows, 100) == rows and spread(rows, None) == rows


def test_dev_questions_are_not_asked(tmp_path: Path) -> None:
    manifest = imported(tmp_path, [row("1"), row("2", split="dev"), row("3", benchmark="demo")])
    found = read_questions(str(tmp_path), manifest, [BenchmarkSettings(name="mmlu")])
    assert [question.id for question in found["mmlu"].asked] == ["1"]
    assert [question.id for question in found["mmlu"].dev["law"]] == ["2"]


def test_absent_benchmark_names_those_present_and_how_to_import(tmp_path: Path) -> None:
    manifest = imported(tmp_path, [row("1"), row("2", benchmark="demo")])
    with pytest.raises(InputError, match="'humaneval'") as caught:
        read_questions(str(tmp_path), manifest, [BenchmarkSettings(name="humaneval")])
    assert caught.value.allowed == ("demo", "mmlu")
    assert "HumanEval.jsonl.gz" in caught.value.remedy


def test_repeated_ids_are_refused(tmp_path: Path) -> None:
    manifest = imported(tmp_path, [row("1"), row("1")])
    with pytest.raises(InputError, match="2 questions with 1 ids"):
        read_questions(str(tmp_path), manifest, [BenchmarkSettings(name="mmlu")])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"benchmarks": [{"name": "mmlu-pro"}]}, "no benchmark 'mmlu-pro'; allowed: gsm8k, mmlu, cmmlu, ceval"),
        ({"benchmarks": []}, "at least 1 item"),
        ({"benchmarks": [{"name": "demo"}, {"name": "demo"}]}, "demo more than once"),
        ({"benchmarks": [{"name": "demo", "limit": 0}]}, "greater than or equal to 1"),
        ({"benchmarks": [{"name": "demo"}], "bach": 3}, "Extra inputs"),
    ],
)
def test_wrong_settings(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EvaluateSettings.model_validate(values)


def test_speed_does_not_change_an_evaluation() -> None:
    plain = EvaluateSettings.model_validate({"benchmarks": [{"name": "demo"}]})
    other = plain.model_copy(update={"batch": 7, "device": "cuda:1", "correction": "none"})
    assert plain.evaluation.key_material() == other.evaluation.key_material()
    limited = EvaluateSettings.model_validate({"benchmarks": [{"name": "demo", "limit": 5}]})
    assert plain.evaluation.key_material() != limited.evaluation.key_material()
