"""Evaluation sets of one's own: rows in any shape that a source may have, each with a check."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.collect.benchmarks.import_benchmarks import import_benchmarks
from components.collect.settings import QuestionSettings
from components.shared.errors import EmptyDataError, InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Check, Message, Question, Rejected

OWN = {"id": "heldout-001", "subject": "addition", "question": "1 + 1", "answer": "2"}
EXACT = {"kind": "exact"}


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def imported(root: Path, uri: Path, entry: dict[str, Any], **limits: Any) -> tuple[Manifest, list[Question]]:
    given = {"benchmarks": [{"name": "own", "uri": str(uri), **entry}], **limits}
    library = Library(str(root / "store"))
    manifest = import_benchmarks(library, QuestionSettings.model_validate(given))
    return manifest, list(library.read_rows(manifest, Question))


def test_a_question_keeps_its_id_and_its_subject_and_carries_its_check(tmp_path: Path) -> None:
    entry = {"check": {"kind": "exact", "ignore_case": False}}
    manifest, (question,) = imported(tmp_path, lines(tmp_path / "heldout.jsonl", OWN), entry)
    assert question == Question(
        **{"benchmark": "own", "subject": "addition", "id": "heldout-001", "question": "1 + 1", "answer": "2"},
        check=Check(kind="exact", answer="2", ignore_case=False),
    )
    assert manifest.counts == {"questions": 1, "rejected": 0, "benchmarks": 1, "test_own": 1, "dev_own": 0}
    (report,) = json.loads(Library(str(tmp_path / "store")).read_bytes(manifest, "report.json"))["benchmarks"]
    assert (report["shapes"], report["ignored_fields"], report["importer"]) == (["question_answer"], {}, "rows")


def test_without_an_id_a_question_is_named_by_its_file_and_line(tmp_path: Path) -> None:
    rows = [{"question": f"{n} + {n}", "answer": str(2 * n), "id": name} for n, name in ((1, None), (2, ""), (3, 7))]
    _, questions = imported(tmp_path, lines(tmp_path / "sums.jsonl", *rows), {"check": {"kind": "math"}})
    assert [(each.id, each.subject) for each in questions] == [
        ("own/sums.jsonl/1", ""),
        ("own/sums.jsonl/2", ""),
        ("7", ""),
    ]


def test_other_fields_may_hold_the_id_the_subject_and_the_answer(tmp_path: Path) -> None:
    row = {"prompt": "Which?", "completion": "It is (b).", "gold": "(b)", "key": "k", "topic": "law"}
    entry = {"check": {"kind": "choice", "field": "gold"}, "id_field": "key", "subject_field": "topic"}
    _, (question,) = imported(tmp_path, lines(tmp_path / "a.jsonl", row), entry)
    assert (question.id, question.subject, question.answer) == ("k", "law", "B")


def test_a_conversation_is_asked_as_it_is(tmp_path: Path) -> None:
    says = [("system", "Be brief."), ("user", "One?"), ("assistant", "Yes."), ("user", "Two?")]
    row = {"messages": [{"role": role, "content": text} for role, text in says], "gold": "No."}
    _, (question,) = imported(tmp_path, lines(tmp_path / "a.jsonl", row), {"check": {**EXACT, "field": "gold"}})
    assert (question.system, question.question, question.answer) == ("Be brief.", "Two?", "No.")
    assert question.history == tuple(Message(role=role, content=text) for role, text in says[1:3])


def test_every_instance_of_a_record_is_a_question(tmp_path: Path) -> None:
    instances = [{"input": "Rome", "output": "Italy"}, {"input": "Oslo", "output": "Norway"}]
    row = {"id": "seed", "instruction": "Name the country.", "instances": instances}
    _, questions = imported(tmp_path, lines(tmp_path / "a.jsonl", row), {"check": EXACT})
    assert [(each.id, each.answer) for each in questions] == [("seed", "Italy"), ("seed.1", "Norway")]


def test_a_shape_with_checks_needs_no_other(tmp_path: Path) -> None:
    row = {"question": "How many?", "answer": "6 * 7 = 42\n#### 42"}
    _, (question,) = imported(tmp_path, lines(tmp_path / "a.jsonl", row), {"shape": "gsm8k"})
    assert question.check == Check(kind="math", answer="42")


def test_a_folder_gives_its_test_split(tmp_path: Path) -> None:
    lines(tmp_path / "set" / "train.jsonl", OWN, {**OWN, "id": "2"})
    lines(tmp_path / "set" / "test.jsonl", {**OWN, "id": "t"})
    _, questions = imported(tmp_path, tmp_path / "set", {"check": EXACT})
    assert [question.id for question in questions] == ["t"]


def test_a_limit_is_a_random_sample_and_subjects_are_chosen(tmp_path: Path) -> None:
    rows = [{**OWN, "id": str(number), "subject": "ab"[number % 2]} for number in range(40)]
    uri = lines(tmp_path / "a.jsonl", *rows)
    ids = [question.id for question in imported(tmp_path, uri, {"check": EXACT, "limit": 10})[1]]
    assert len(ids) == 10 and ids != [str(number) for number in range(10)] and ids == sorted(ids, key=int)
    assert {each.subject for each in imported(tmp_path, uri, {"check": EXACT, "subjects": ["b"]})[1]} == {"b"}
    with pytest.raises(EmptyDataError, match="no questions in"):
        imported(tmp_path, uri, {"check": EXACT, "subjects": ["c"]})


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ({"question": "1 + 1"}, "no-answer", "no response to compare with"),
        ({"question": "1 + 1", "answer": 2}, "wrong-type", "'answer' is int"),
        ({"question": "1 + 1", "answer": " "}, "no-answer", "the answer is empty"),
        ({**OWN, "id": [1]}, "wrong-type", "'id' is list"),
        ({**OWN, "label": False}, "no-answer", "labelled bad"),
    ],
)
def test_a_bad_record_is_rejected_and_counted(tmp_path: Path, row: dict[str, Any], reason: str, detail: str) -> None:
    rows = [{**OWN, "id": str(number)} for number in range(24)]
    manifest, questions = imported(tmp_path, lines(tmp_path / "a.jsonl", *rows, row), {"check": EXACT})
    assert len(questions) == 24 and manifest.counts["rejected"] == 1
    (rejected,) = Library(str(tmp_path / "store")).read_rows(manifest, Rejected, "rejected")
    assert (rejected.source, rejected.line, rejected.reason) == (
        "own/a.jsonl",
        25,
        reason,
    ) and detail in rejected.detail
    with pytest.raises(InputError, match=f"1 of 25 records are rejected: 1 {reason}") as caught:
        imported(tmp_path, tmp_path / "a.jsonl", {"check": EXACT}, max_rejected_share=0.01)
    assert "raise `max_rejected_share`" in caught.value.remedy


def test_rows_without_a_check_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the set has no `check`, and its rows have none of their own"):
        imported(tmp_path, lines(tmp_path / "a.jsonl", OWN), {"shape": "question_answer"})


def test_repeated_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two questions have the id 'heldout-001'") as caught:
        imported(tmp_path, lines(tmp_path / "a.jsonl", OWN, OWN), {"check": EXACT})
    assert "set `id_field`" in caught.value.remedy
    assert len(imported(tmp_path, tmp_path / "a.jsonl", {"check": EXACT, "id_field": ""})[1]) == 2
