"""Mathematical problems: rows of every published shape, which name their fields in different ways."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from components.collect.benchmarks.import_benchmarks import import_benchmarks
from components.collect.settings import QuestionSettings
from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Question, Rejected

Row = dict[str, Any]

MATH_500 = {
    "problem": "Convert $(0,3)$ to polar coordinates.",
    "solution": "The angle is $\\frac{\\pi}{2}$: $\\boxed{\\left(3, \\frac{\\pi}{2}\\right)}$.",
    "answer": "\\left( 3, \\frac{\\pi}{2} \\right)",
    "subject": "Precalculus",
    "level": 2,
    "unique_id": "test/precalculus/807.json",
}
OLYMPIAD = {
    "id": 1606,
    "question": "How many?",
    "solution": ["Count."],
    "final_answer": ["$2$", "$-\\frac{1}{2}$"],
    "is_multiple_answer": True,
    "unit": None,
    "answer_type": "Numerical",
    "error": None,
    "subfield": "Number Theory",
}


def imported(root: Path, uri: Path, name: str) -> tuple[Manifest, list[Question], list[Rejected]]:
    settings = QuestionSettings.model_validate({"benchmarks": [{"name": name, "uri": str(uri)}]})
    library = Library(str(root / "store"))
    manifest = import_benchmarks(library, settings)
    return (
        manifest,
        list(library.read_rows(manifest, Question)),
        list(library.read_rows(manifest, Rejected, "rejected")),
    )


def lines(path: Path, *rows: Row) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def table(path: Path, *rows: Row) -> Path:
    parquet.write_table(arrow.Table.from_pylist(list(rows)), path)
    return path


def test_math_500(tmp_path: Path) -> None:
    _, (question,), _ = imported(tmp_path, lines(tmp_path / "test.jsonl", MATH_500), "math_500")
    assert (question.id, question.subject) == ("math_500/test/precalculus/807.json", "Precalculus")
    assert (question.question, question.answer) == (MATH_500["problem"], MATH_500["answer"])
    assert question.extra == {"solution": MATH_500["solution"]}
    assert question.check is not None and (question.check.kind, question.check.answer) == ("math", question.answer)


@pytest.mark.parametrize(
    "published",
    [
        ("aime_2024", {"id": 60, "problem": "P", "answer": "204", "year": "2024"}, "aime_2024/60", "204"),
        ("aime_2024", {"ID": "2024-I-1", "Problem": "P", "Solution": "S", "Answer": 33}, "aime_2024/2024-I-1", "33"),
        ("aime_2025", {"question": "P", "answer": "70"}, "aime_2025/data/1", "70"),
        ("aime_2025", {"id": "0", "problem": "P", "answer": "70", "year": "2025"}, "aime_2025/0", "70"),
        ("amc_2023", {"id": 0, "question": "P", "answer": 27.0, "url": ""}, "amc_2023/0", "27"),
        ("minerva", {"question": "P", "answer": "4.5e33"}, "minerva/data/1", "4.5e33"),
        ("minerva", {"problem": "P", "solution": "So $x=\\boxed{\\frac{1}{2}}$.", "idx": 3}, "minerva/data/1", None),
    ],
)
@pytest.mark.parametrize("form", ["jsonl", "parquet", "json", "zip"])
def test_published_shapes(published: tuple[str, Row, str, str | None], form: str, tmp_path: Path) -> None:
    name, row, identity, answer = published
    path = tmp_path / f"data.{form}"
    if form == "parquet":
        table(path, row)
    elif form == "json":
        path.write_text(json.dumps([row]))
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(table(tmp_path / "data.parquet", row), "data.parquet")
    else:
        lines(path, row)
    _, (question,), _ = imported(tmp_path, path, name)
    assert (question.id, question.question, question.answer) == (identity, "P", answer or "\\frac{1}{2}")


def test_two_files_of_one_contest_keep_their_problems_apart(tmp_path: Path) -> None:
    for part in ("I", "II"):
        lines(tmp_path / "set" / f"aime2025-{part}.jsonl", {"question": part, "answer": "1"})
    _, questions, _ = imported(tmp_path, tmp_path / "set", "aime_2025")
    assert [question.id for question in questions] == ["aime_2025/aime2025-I/1", "aime_2025/aime2025-II/1"]


def test_problems_of_another_year_are_left_out_and_counted(tmp_path: Path) -> None:
    place = "https://artofproblemsolving.com/wiki/index.php/{}_AMC_12A_Problems/Problem_1"
    rows = [{"id": year, "problem": "P", "answer": 1.0, "url": place.format(year)} for year in (2022, 2023)]
    manifest, (question,), (rejected,) = imported(tmp_path, table(tmp_path / "data.parquet", *rows), "amc_2023")
    assert question.id == "amc_2023/2023"
    assert (rejected.source, rejected.line, rejected.reason) == ("amc_2023/data.parquet", 1, "another-set")
    report = json.loads(Library(str(tmp_path / "store")).at(manifest.address).read("report.json"))
    assert report["benchmarks"][0]["rejected"] == {"another-set": 1} and manifest.counts["rejected"] == 1


@pytest.mark.parametrize("name", ["math_500", "aime_2024", "aime_2025", "amc_2023", "minerva"])
@pytest.mark.parametrize(
    "row", [{"prompt": "P", "answer": "1"}, {"problem": "P"}, {"problem": "P", "solution": "No box."}]
)
def test_other_shapes_are_refused_with_their_fields(name: str, row: Row, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data.jsonl line 1: .* has .*; a row has problem or question, and answer"):
        imported(tmp_path, lines(tmp_path / "data.jsonl", row), name)


def test_a_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data.parquet").write_bytes(b"PAR1 and no table")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        imported(tmp_path, tmp_path / "data.parquet", "math_500")


def test_olympiadbench(tmp_path: Path) -> None:
    rows = [
        OLYMPIAD,
        OLYMPIAD | {"id": 2, "final_answer": ["12"], "unit": "cm"},
        OLYMPIAD | {"id": 3, "final_answer": ["3.14"], "error": "1e-2"},
    ]
    (tmp_path / "OE_TO_maths_en_COMP.json").write_text(json.dumps(rows))
    _, (several, measured, near), _ = imported(tmp_path, tmp_path, "olympiadbench")
    assert (several.id, several.subject) == ("olympiadbench/1606", "number_theory")
    assert several.answer == "2, -\\frac{1}{2}" and several.check is not None
    assert measured.extra == {"unit": "cm"} and near.extra == {"tolerance": "1e-2"} and near.check is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"final_answer": None}, "no final_answer"),
        ({"final_answer": []}, "no final_answer"),
        ({"answer_type": "Need_human_evaluate"}, "needs a person"),
        ({"error": "0.1"}, "is not one number"),
        ({"error": "0.1", "final_answer": ["x + 1"]}, "is not one number"),
    ],
)
def test_answers_that_cannot_be_compared_are_left_out_and_counted(changed: Row, why: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "OE_TO_maths_en_COMP.jsonl", OLYMPIAD, OLYMPIAD | {"id": 2} | changed)
    manifest, (question,), (rejected,) = imported(tmp_path, path, "olympiadbench")
    assert question.id == "olympiadbench/1606" and manifest.counts["rejected"] == 1
    assert (rejected.reason, rejected.line) == ("not-comparable", 2) and why in rejected.detail


def test_other_parts_of_olympiadbench_are_not_read(tmp_path: Path) -> None:
    lines(tmp_path / "data" / "OE_TO_maths_en_COMP.jsonl", OLYMPIAD)
    lines(tmp_path / "data" / "TP_TO_maths_en_COMP.jsonl", {"id": 1, "question": "Prove it."})
    assert len(imported(tmp_path, tmp_path / "data", "olympiadbench")[1]) == 1
    proof = lines(tmp_path / "OE_TO_maths_en_COMP.jsonl", {"id": 1, "question": "Prove it."})
    with pytest.raises(InputError, match="'final_answer' is not a list of texts; has id, question"):
        imported(tmp_path, proof, "olympiadbench")
