"""The start of a JSON file decides: lines, an array, one row, or an object that holds the rows."""

import json
from dataclasses import replace
from typing import Any

import pytest

from components.collect.files.records import Broken, Record, Rejection
from components.collect.formats.json_file import kind_of, read_json
from components.shared.errors import InputError

LIMIT = 10_000
ROWS = [{"q": "What?", "a": "中文 [1] {2}"}, {"q": 'quote " and \\', "a": "b"}, {"q": "3", "a": ""}]
FOUND = [Record(number, row) for number, row in enumerate(ROWS, start=1)]
ROW = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def read(make_file: Any, text: str, split: str = "train", name: str = "rows.json") -> list[Record | Broken]:
    return list(read_json(replace(make_file(name, text.encode()), split=split), LIMIT))


WRAPPED = {"version": "1.1", "data": ROWS, "license": {"name": "mit", "tags": ["a", "b"]}}


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"data": ROWS}),
        json.dumps({"data": ROWS}, indent=2, ensure_ascii=False),
        json.dumps(WRAPPED),
        json.dumps(WRAPPED, indent=4),
        json.dumps(WRAPPED, separators=(",", ":")),
        '{"data": [\n' + ",\n".join(map(json.dumps, ROWS)) + "\n]}\n",
        '{"data": [' + ",\n".join(map(json.dumps, ROWS)) + "]}",
        '{"data":\n[' + "\n,".join(map(json.dumps, ROWS)) + "]}",
        "\ufeff\n" + json.dumps({"rows": ROWS}) + "\n\n",
        json.dumps({"my_own_name": ROWS}),
        json.dumps({"data": ROWS, "categories": [{"id": 1}]}),
        json.dumps(ROWS, indent=1),
        json.dumps(ROWS),
        "".join(json.dumps(row) + "\n" for row in ROWS),
    ],
)
def test_rows_are_found(text: str, name: str, make_file: Any) -> None:
    assert read(make_file, text, name=name) == FOUND


def test_unread_members_are_logged(make_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    read(make_file, json.dumps(WRAPPED))
    assert "its rows are the list 'data'; not read: version, license" in capsys.readouterr().err


@pytest.mark.parametrize("indent", [None, 2])
def test_single_row(indent: int | None, make_file: Any) -> None:
    assert read(make_file, json.dumps(ROW, indent=indent)) == [Record(1, ROW)]


def test_a_problem_of_math_is_a_row_of_its_own_file(make_file: Any) -> None:
    """MATH's original archive has a file for each problem."""
    problem = {"problem": "What is $1+1$?", "level": "Level 1", "type": "Algebra", "solution": "$\\boxed{2}$"}
    assert read(make_file, json.dumps(problem)) == [Record(1, problem)]


def test_rows_larger_than_a_record_may_be(make_file: Any) -> None:
    many = [{"q": str(number), "a": "x" * 100} for number in range(500)]
    found = read(make_file, json.dumps({"data": many}))
    assert [item.fields for item in found if isinstance(item, Record)] == many
    found = read(make_file, json.dumps({"license": "y" * 3 * LIMIT, "data": many}))
    assert [item.fields for item in found if isinstance(item, Record)] == many
    broken = read(make_file, json.dumps({"data": [*many, {"q": "z" * LIMIT}, {"q": "last"}]}))
    assert [type(item) for item in broken[-2:]] == [Broken, Record]


@pytest.mark.parametrize("name", ["prompt", "messages"])
def test_only_a_too_long_first_line_is_rejected(name: str, make_file: Any) -> None:
    lines = [{"id": 1, "nested": {"a": [{}]}, name: "x" * 3 * LIMIT}, *ROWS]
    found = read(make_file, "".join(json.dumps(line) + "\n" for line in lines))
    assert found[0] == Broken(1, Rejection.oversize, f"more than {LIMIT} bytes")
    assert [item.fields for item in found[1:] if isinstance(item, Record)] == ROWS


def test_splits_in_one_object_are_not_mixed(make_file: Any) -> None:
    text = json.dumps({"test": [{"q": "secret"}], "train": ROWS})
    assert read(make_file, text) == FOUND
    assert read(make_file, text, "test") == [Record(1, {"q": "secret"})]
    with pytest.raises(InputError, match="has no split 'validation'") as caught:
        read(make_file, text, "validation")
    assert caught.value.allowed == ("test", "train")
    with pytest.raises(InputError, match="has no split 'train'"):
        read(make_file, json.dumps({"test": ROWS}))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"q": ["a", "b"], "a": ["c", "d"]}, "holds columns, not rows: lists under 'q', 'a'"),
        ({"prompt": ["a", "b"], "completion": ["c", "d"]}, "holds columns, not rows: lists under 'prompt'"),
        ({"prompt": {"0": "a"}, "completion": {"0": "c"}}, r"holds objects by name \('prompt', 'completion'\)"),
        ({"1": {"q": "a"}, "2": {"q": "b"}}, r"holds objects by name \('1', '2'\)"),
        ({"ours": [{"q": "a"}], "theirs": [{"q": "b"}]}, "several lists of objects: 'ours', 'theirs'"),
        ({"version": 3, "name": "x"}, "no list of objects; it has 'version', 'name'"),
    ],
)
def test_objects_without_rows_are_described(value: Any, said: str, make_file: Any) -> None:
    with pytest.raises(InputError, match=said):
        read(make_file, json.dumps(value, indent=2))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "row",
    [
        {"messages": {"role": ["user", "assistant"], "content": ["a", "b"]}},
        {"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]},
        {"instruction": "a", "instances": [{"input": "", "output": "b"}]},
    ],
)
def test_single_rows_stay_rows(row: Any, indent: int | None, make_file: Any) -> None:
    assert read(make_file, json.dumps(row, indent=indent)) == [Record(1, row)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps({"data": ROWS}, indent=1)[:-2], "its end is missing"),
        (json.dumps(ROW, indent=1) + "\n" + json.dumps(ROW, indent=1), "after the object's end follows"),
        (json.dumps(ROWS) + json.dumps(ROWS), "after the array's end after 3 records follows"),
        ('[{"q": 1}], {"q": 2}, {"q": 3}]', "after the array's end after 1 record follows ', {"),
    ],
)
def test_files_whose_rows_would_be_lost_are_an_error(text: str, said: str, make_file: Any) -> None:
    with pytest.raises(InputError, match=said):
        read(make_file, text)


@pytest.mark.parametrize(
    "first",
    [
        '{"prompt": "cut',
        "{",
        '{"messages": [{"role": "user"',
        '{"prompt": "a", "x": {"y": 1}',
        '{"a": [[[[',
        "[1]",
        "[]",
        "rubbish",
    ],
)
def test_only_a_broken_first_line_is_rejected(first: str, make_file: Any) -> None:
    lines = [first, *map(json.dumps, ROWS)]
    found = read(make_file, "\n".join(lines) + "\n", name="rows.jsonl")
    assert isinstance(found[0], Broken) and found[0].reason in {Rejection.broken_json, Rejection.wrong_type}
    assert [item.fields for item in found[1:] if isinstance(item, Record)] == ROWS


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "lines"),
        (b'{"a": 1}', "lines"),
        (b'{"a": 1}\n{"a": 2}', "lines"),
        (b"[", "array"),
        (b"[\n  {", "array"),
        (b'{\n  "data": [', "object"),
        (b'{"data": [{"a": 1}]}', "object"),
        (b'{"data": [{"a": 1}]}\n{"data": []}', "lines"),
        (b'{"turns": [], "prompt": [{"role": "user"}]}', "lines"),
    ],
)
def test_layouts(head: bytes, kind: str) -> None:
    assert kind_of(head) == kind
