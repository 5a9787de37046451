"""Which questions are asked, and what is said when they are not there."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from components.evaluate.questions import read_questions, spread, worked_examples
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


def test_fewer_worked_examples_than_asked_for_are_refused(tmp_path: Path) -> None:
    dev = [row(f"dev{number}", split="dev") for number in range(3)]
    manifest = imported(tmp_path, [*dev, row("1"), row("2", subject="art"), row("3", subject="law")])
    with pytest.raises(InputError) as caught:
        read_questions(str(tmp_path), manifest, [BenchmarkSettings(name="mmlu", few_shot=5)])
    assert caught.value.problem == (
        "few_shot of mmlu is 5, and subject 'law' of mmlu has 3 worked examples, as 1 other subjects"
    )
    assert "few_shot of mmlu to at most 0" in caught.value.remedy and "dev" in caught.value.remedy
    with pytest.raises(InputError, match=r"subject 'art' of mmlu has 0 worked examples\n"):
        read_questions(str(tmp_path), manifest, [BenchmarkSettings(name="mmlu", few_shot=3)])


def test_as_many_worked_examples_as_asked_for_are_given(tmp_path: Path) -> None:
    dev = [row(f"dev{number}", question=f"D{number}", split="dev") for number in range(3)]
    manifest = imported(tmp_path, [*dev, row("1")])
    settings = BenchmarkSettings(name="mmlu", few_shot=2)
    found = read_questions(str(tmp_path), manifest, [settings])["mmlu"]
    assert ["D0" in user or "D1" in user for user, _ in worked_examples(settings, found, "law")] == [True, True]
    assert worked_examples(BenchmarkSettings(name="mmlu"), found, "law") == []


@pytest.mark.parametrize(
    ("name", "few_shot", "subject", "problem"),
    [
        ("gsm8k", 9, "", "benchmark 'gsm8k' has 8 worked examples"),
        ("bbh", None, "no_such_task", "few_shot of bbh is 3, and subject 'no_such_task' of bbh has 0"),
        ("bbh", 4, "boolean_expressions", "has 3 worked examples"),
        ("ceval", 1, "law", "subject 'law' of ceval has 0 worked examples"),
        ("cmmlu", 1, "law", "subject 'law' of cmmlu has 0 worked examples"),
    ],
)
def test_every_benchmark_counts_its_worked_examples(
    tmp_path: Path, name: str, few_shot: int | None, subject: str, problem: str
) -> None:
    manifest = imported(tmp_path, [row("1", benchmark=name, subject=subject)])
    with pytest.raises(InputError, match=problem):
        read_questions(str(tmp_path), manifest, [BenchmarkSettings(name=name, few_shot=few_shot)])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"benchmarks": [{"name": "humaneval", "few_shot": 3}]}, "humaneval has no worked examples"),
        ({"benchmarks": [{"name": "ifeval", "few_shot": 1}]}, "ifeval has no worked examples"),
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
