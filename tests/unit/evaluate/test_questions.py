"""Which questions are asked, and the errors when they are missing."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from components.evaluate.questions import QuestionSet, definition_of, read_questions, spread, worked_examples
from components.evaluate.settings import BenchmarkSettings, EvaluationSettings
from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Question
from components.shared.settings import Settings
from components.shared.step import Product


def imported(root: Path, rows: list[Question]) -> Manifest:
    output = Output(Library(str(root)), Product("collect", 1, Question.content), Settings(), {})
    output.write_rows("rows/00000", rows)
    return output.finish()


def row(id_: str, **fields: object) -> Question:
    values = {"benchmark": "mmlu", "id": id_, "question": "?", "answer": "A", "subject": "law", **fields}
    return Question.model_validate(values)


def test_limit_spreads_over_the_whole_set() -> None:
    rows = [row(str(number)) for number in range(10)]
    assert [chosen.id for chosen in spread(rows, 4)] == ["0", "2", "5", "7"]
    assert spread(rows, 100) == rows and spread(rows, None) == rows


def test_dev_questions_are_not_asked(tmp_path: Path) -> None:
    manifest = imported(tmp_path, [row("1"), row("2", split="dev"), row("3", benchmark="own")])
    found = read_questions(Library(str(tmp_path)), manifest, [BenchmarkSettings(name="mmlu")])
    assert [question.id for question in found["mmlu"].asked] == ["1"]
    assert [question.id for question in found["mmlu"].dev["law"]] == ["2"]


def test_absent_benchmark_names_those_present_and_how_to_import(tmp_path: Path) -> None:
    manifest = imported(tmp_path, [row("1"), row("2", benchmark="own")])
    with pytest.raises(InputError, match="'humaneval'") as caught:
        read_questions(Library(str(tmp_path)), manifest, [BenchmarkSettings(name="humaneval")])
    assert caught.value.allowed == ("mmlu", "own")
    assert "HumanEval.jsonl.gz" in caught.value.remedy


def test_questions_without_a_check_need_a_benchmark(tmp_path: Path) -> None:
    rows = [row("1", benchmark="own"), row("2", benchmark="own", check={"kind": "exact", "answer": "A"})]
    manifest = imported(tmp_path, rows)
    with pytest.raises(InputError, match=r"questions of 'own' in .* have the check none") as caught:
        read_questions(Library(str(tmp_path)), manifest, [BenchmarkSettings(name="own")])
    assert "give own in collect.benchmarks a `check`, or set `benchmark` of own to one of gsm8k" in caught.value.remedy
    assert read_questions(Library(str(tmp_path)), manifest, [BenchmarkSettings(name="own", benchmark="mmlu")])


def test_the_prompt_of_ones_own_set_is_a_setting() -> None:
    asked = row("1", benchmark="own", question="Is {x} a set? {question}")
    settings = BenchmarkSettings(name="own", prompt="{question}\nReply {yes} or {no}.")
    assert settings.definition.prompt(asked) == "Is {x} a set? {question}\nReply {yes} or {no}."
    assert BenchmarkSettings(name="own").definition.prompt(asked) == "Is {x} a set? {question}"


@pytest.mark.parametrize(
    ("choices", "answer", "problem"),
    [
        ((), "A", "has 0 choices with a text"),
        (("yes", ""), "A", "has 1 choice with a text"),
        (("yes", "no"), "C", "has the answer 'C', not one of AB"),
        (("yes", "no"), "yes", "has the answer 'yes', not one of AB"),
    ],
)
def test_questions_that_cannot_be_ranked_are_refused(
    tmp_path: Path, choices: tuple[str, ...], answer: str, problem: str
) -> None:
    good = row("1", benchmark="own", choices=("yes", "no"), answer="b")
    manifest = imported(tmp_path, [good, row("2", benchmark="own", choices=choices, answer=answer)])
    with pytest.raises(InputError, match=f"question '2' of 'own' in .* {problem}") as caught:
        read_questions(Library(str(tmp_path)), manifest, [BenchmarkSettings(name="own", benchmark="ranked")])
    assert "mmlu" in caught.value.allowed and "ranked" not in caught.value.allowed


def test_the_metric_of_a_set_is_that_of_its_check() -> None:
    def metric(*kinds: str, **settings: str) -> str:
        asked = tuple(row(kind, check={"kind": kind, "answer": "A"}) for kind in kinds)
        return definition_of(BenchmarkSettings(name="own", **settings), QuestionSet(asked, {})).metric

    assert (metric("exact"), metric("math"), metric("exact", "choice")) == ("exact_match", "math_match", "accuracy")
    assert metric("choice", benchmark="humaneval") == "pass@1"


def test_repeated_ids_are_refused(tmp_path: Path) -> None:
    manifest = imported(tmp_path, [row("1"), row("1")])
    with pytest.raises(InputError, match="2 questions with 1 id "):
        read_questions(Library(str(tmp_path)), manifest, [BenchmarkSettings(name="mmlu")])


def test_fewer_worked_examples_than_asked_for_are_refused(tmp_path: Path) -> None:
    dev = [row(f"dev{number}", split="dev") for number in range(3)]
    manifest = imported(tmp_path, [*dev, row("1"), row("2", subject="art"), row("3", subject="law")])
    with pytest.raises(InputError) as caught:
        read_questions(Library(str(tmp_path)), manifest, [BenchmarkSettings(name="mmlu", few_shot=5)])
    assert caught.value.problem == (
        "few_shot of mmlu is 5, but subject 'law' of mmlu has 3 worked examples, and 1 more subjects have too few"
    )
    assert "few_shot of mmlu to at most 0" in caught.value.remedy and "dev" in caught.value.remedy
    with pytest.raises(InputError, match=r"subject 'art' of mmlu has 0 worked examples\n"):
        read_questions(Library(str(tmp_path)), manifest, [BenchmarkSettings(name="mmlu", few_shot=3)])


def test_as_many_worked_examples_as_asked_for_are_given(tmp_path: Path) -> None:
    dev = [row(f"dev{number}", question=f"D{number}", split="dev") for number in range(3)]
    manifest = imported(tmp_path, [*dev, row("1")])
    settings = BenchmarkSettings(name="mmlu", few_shot=2)
    found = read_questions(Library(str(tmp_path)), manifest, [settings])["mmlu"]
    assert ["D0" in user or "D1" in user for user, _ in worked_examples(settings, found, "law")] == [True, True]
    assert worked_examples(BenchmarkSettings(name="mmlu"), found, "law") == []


@pytest.mark.parametrize(
    ("name", "few_shot", "subject", "problem"),
    [
        ("gsm8k", 9, "", "benchmark 'gsm8k' has 8 worked examples"),
        ("bbh", None, "no_such_task", "few_shot of bbh is 3, but subject 'no_such_task' of bbh has 0"),
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
        read_questions(Library(str(tmp_path)), manifest, [BenchmarkSettings(name=name, few_shot=few_shot)])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"benchmarks": [{"name": "humaneval", "few_shot": 3}]}, "humaneval has no worked examples"),
        ({"benchmarks": [{"name": "ifeval", "few_shot": 1}]}, "ifeval has no worked examples"),
        ({"benchmarks": [{"name": "mine", "benchmark": "mmlu-pro"}]}, "no benchmark 'mmlu-pro'; allowed: gsm8k, mmlu"),
        ({"benchmarks": [{"name": "my/own"}]}, "should match pattern"),
        ({"benchmarks": [{"name": "mine", "few_shot": 1}]}, "mine has no worked examples"),
        (
            {"benchmarks": [{"name": "mine", "benchmark": "exact"}]},
            "replaced by sets with a check: leave `benchmark` out",
        ),
        ({"benchmarks": [{"name": "mine", "prompt": "Why?"}]}, "must contain {question} exactly once"),
        ({"benchmarks": [{"name": "gsm8k", "prompt": "{question}"}]}, "the prompt of gsm8k is part of its protocol"),
        ({"benchmarks": []}, "at least 1 item"),
        ({"benchmarks": [{"name": "mine"}, {"name": "mine"}]}, "mine more than once"),
        ({"benchmarks": [{"name": "mine", "limit": 0}]}, "greater than or equal to 1"),
        ({"benchmarks": [{"name": "mine"}], "bach": 3}, "Extra inputs"),
    ],
)
def test_wrong_settings(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EvaluationSettings.model_validate(values)


def test_speed_does_not_change_an_evaluation() -> None:
    plain = EvaluationSettings.model_validate({"benchmarks": [{"name": "mine"}]})
    other = plain.model_copy(update={"batch": 7, "device": "cuda:1"})
    assert plain.key_material() == other.key_material()
    limited = EvaluationSettings.model_validate({"benchmarks": [{"name": "mine", "limit": 5}]})
    assert plain.key_material() != limited.key_material()


def test_each_question_is_in_one_of_two_parts(tmp_path: Path) -> None:
    manifest = imported(tmp_path, [row(str(number)) for number in range(200)])
    benchmark = BenchmarkSettings(name="mmlu")

    def asked(**given: object) -> list[str]:
        settings = EvaluationSettings.model_validate({"benchmarks": [benchmark], **given})
        found = read_questions(Library(str(tmp_path)), manifest, settings.benchmarks, settings.asks)
        return [question.id for question in found["mmlu"].asked]

    validation, test = (asked(part=part, validation_share=0.25) for part in ("validation", "test"))
    assert sorted([*validation, *test], key=int) == asked() == asked(part="all")
    assert 30 <= len(validation) <= 70, "about a quarter of 200"
    assert set(validation) <= set(asked(part="validation", validation_share=0.5)), "a larger share keeps them"


def test_the_part_is_in_the_cache_key_unless_all_is_asked() -> None:
    keys = [
        EvaluationSettings.model_validate({"benchmarks": [{"name": "mmlu"}], **given}).key_material()
        for given in ({}, {"part": "all"}, {"part": "test"}, {"part": "test", "validation_share": 0.3})
    ]
    assert keys[0] == keys[1] and "part" not in keys[0] and "validation_share" not in keys[0]
    assert keys[2] != keys[0] and keys[3] != keys[2]


def test_a_share_without_a_part_is_refused() -> None:
    with pytest.raises(ValidationError, match="set part to validation or test"):
        EvaluationSettings.model_validate({"benchmarks": [{"name": "mmlu"}], "validation_share": 0.3})


def test_a_set_without_a_question_in_the_part_is_an_error(tmp_path: Path) -> None:
    manifest = imported(tmp_path, [row("1")])
    settings = {
        part: EvaluationSettings.model_validate({"benchmarks": [{"name": "mmlu"}], "part": part})
        for part in ("validation", "test")
    }
    empty = next(one for one in settings.values() if not one.asks("mmlu", "1"))
    with pytest.raises(InputError, match="none of the 1 question of 'mmlu'") as caught:
        read_questions(Library(str(tmp_path)), manifest, empty.benchmarks, empty.asks)
    assert "import more questions of mmlu" in caught.value.remedy
