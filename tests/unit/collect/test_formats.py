"""Each container format: good records with their numbers, and only the bad ones rejected."""

import csv
import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from components.collect.files.data_file import DataFile
from components.collect.files.records import Broken, Record, Rejection
from components.collect.formats.json_array import ArraySplitter
from components.collect.formats.registry import FORMATS, format_of
from components.shared.errors import InputError

LIMIT = 10_000
ROWS = [{"q": "What?", "a": "中文，好"}, {"q": 'quote " and \\ and ,', "a": "two\nlines"}, {"q": "[{]}", "a": "🙂"}]
ANSWERS = [Record(number, row) for number, row in enumerate(ROWS, start=1)]


def read(file: DataFile) -> list[Record | Broken]:
    known = format_of(file.name)
    assert known is not None
    return list(known.read(file, LIMIT))


def as_jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


FILES = {
    "rows.jsonl": as_jsonl(ROWS),
    "rows.ndjson": as_jsonl(ROWS),
    "rows.json": json.dumps(ROWS).encode(),
    "pretty.json": json.dumps(ROWS, indent=2, ensure_ascii=False).encode(),
    "lines.json": as_jsonl(ROWS),
    "rows.csv": as_csv(ROWS),
    "rows.tsv": as_csv(ROWS, "\t"),
    "rows.parquet": as_parquet(ROWS),
}


@pytest.mark.parametrize("name", FILES)
def test_round_trip(name: str, make_file: Any) -> None:
    assert read(make_file(name, FILES[name])) == ANSWERS


@pytest.mark.parametrize("name", FILES)
def test_compressed_files(name: str, make_file: Any) -> None:
    assert read(make_file(f"{name}.gz", gzip.compress(FILES[name]))) == ANSWERS


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith("parquet")])
def test_byte_order_mark_and_leading_white_space(name: str, make_file: Any) -> None:
    assert read(make_file(name, b"\xef\xbb\xbf" + FILES[name])) == ANSWERS


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_empty_file_has_no_records(name: str, make_file: Any) -> None:
    assert read(make_file(name, b"")) == []


def test_format_by_suffix() -> None:
    assert {name: known.name for name in FILES if (known := format_of(name.upper()))} == {
        **dict.fromkeys(("rows.jsonl", "rows.ndjson"), "jsonl"),
        **dict.fromkeys(("rows.json", "pretty.json", "lines.json"), "json"),
        **{"rows.csv": "csv", "rows.tsv": "tsv", "rows.parquet": "parquet"},
    }
    assert format_of("notes.txt") is None and format_of("data.gz") is None
    assert set(FORMATS) == {"jsonl", "json", "csv", "tsv", "unquoted_tsv", "parquet", "arrow", "texts"}


def reasons(found: list[Record | Broken]) -> dict[int, str]:
    return {item.line: item.reason for item in found if isinstance(item, Broken)}


def good(found: list[Record | Broken]) -> list[int]:
    return [item.line for item in found if isinstance(item, Record)]


class TestJsonl:
    """JSON lines."""

    def test_bad_lines_are_named_and_the_others_kept(self, make_file: Any) -> None:
        lines = [
            b'{"q": 1}',
            b'{"q": "cut',
            b"",
            b"   ",
            b'{"q": "\xff"}',
            b"[1]",
            b'"text"',
            b'{"q": 1} {"q": 2}',
            b"[" * 100_000,
            b'{"q": ' + b"9" * 9000 + b"}",
            b'{"q": "' + b"x" * LIMIT + b'"}',
            b'{"q": 2}',
        ]
        found = read(make_file("rows.jsonl", b"\r\n".join(lines)))
        assert good(found) == [1, 12]
        assert reasons(found) == {
            2: Rejection.broken_json,
            5: Rejection.invalid_unicode,
            6: Rejection.wrong_type,
            7: Rejection.wrong_type,
            8: Rejection.broken_json,
            9: Rejection.oversize,
            10: Rejection.broken_json,
            11: Rejection.oversize,
        }

    def test_deep_nesting_is_a_bad_row(self, make_file: Any) -> None:
        found = read(make_file("rows.jsonl", b'{"q": ' + b"[" * 9000 + b'\n{"q": 1}\n'))
        assert good(found) == [2] and reasons(found)[1] == Rejection.broken_json

    def test_invalid_byte_is_reported(self, make_file: Any) -> None:
        (found,) = read(make_file("rows.jsonl", b'{"q": "\xfe"}'))
        assert isinstance(found, Broken) and "byte 0xfe at 7" in found.detail


class TestJsonArray:
    """One array."""

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 10_000])
    def test_elements_do_not_depend_on_chunk_boundaries(self, size: int) -> None:
        rng = random.Random(size)
        elements = [json.dumps(_value(rng), ensure_ascii=rng.random() < 0.5).encode() for _ in range(60)]
        data = b" , ".join(elements) + b" ] trailing"
        splitter = ArraySplitter(LIMIT)
        found = [
            element for place in range(0, len(data), size) for element in splitter.feed(data[place : place + size])
        ]
        assert [json.loads(element or b"") for element in found] == [json.loads(element) for element in elements]
        assert splitter.ended

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (b'{"q": tru}', Rejection.broken_json),
            (b'{"q": "\xff\xfe"}', Rejection.invalid_unicode),
            (b'{"q" "a"}', Rejection.broken_json),
            (b"[1, 2]", Rejection.wrong_type),
            (b"null", Rejection.wrong_type),
            (b"", Rejection.broken_json),
            (b'{"q": "a"}}', Rejection.broken_json),
            (b'{"q": "no quote at the end\n}', Rejection.broken_json),
            (b'{"q": "' + b"x" * LIMIT + b'"}', Rejection.oversize),
        ],
    )
    def test_only_the_bad_element_is_rejected(self, bad: bytes, reason: str, make_file: Any) -> None:
        data = b'[\n{"q": 1},\n' + bad + b',\n{"q": 3}\n]'
        found = read(make_file("rows.json", data))
        assert good(found) == [1, 3] and reasons(found) == {2: reason}

    @pytest.mark.parametrize("data", [b"[]", b"[ ]", b"  [\n]\n"])
    def test_empty_array(self, data: bytes, make_file: Any) -> None:
        assert read(make_file("rows.json", data)) == []

    @pytest.mark.parametrize("end", [b"", b",", b', {"q": "cut', b', {"q": 2}'])
    def test_truncated_file(self, end: bytes, make_file: Any) -> None:
        found = read(make_file("rows.json", b'[{"q": 1}' + end))
        assert good(found) == ([1] if end else [])
        assert list(reasons(found).values()) == [Rejection.broken_json]
        assert "ends inside the array" in [item.detail for item in found if isinstance(item, Broken)][-1]

    def test_missing_bracket_does_not_lose_rows_silently(self, make_file: Any) -> None:
        rows = b",".join([b'{"q": 1, {"q": 2}'] + [b'{"q": "%06d"}' % number for number in range(5000)])
        with pytest.raises(InputError, match="record 1 has no end") as caught:
            read(make_file("rows.json", b"[" + rows + b"]"))
        assert "JSON lines" in caught.value.remedy


def _value(rng: random.Random) -> Any:
    texts = ['plain "quoted" \\', "[{,}]", "中文\\u0041", "\\", '\\"', "tab\t newline\n", ""]
    return {rng.choice(texts): rng.choice([rng.choice(texts), [1, {"deep": rng.choice(texts)}], None, 1.5, [], {}])}


class TestCsv:
    """Rows with a header."""

    def test_bad_rows_are_named_and_the_others_kept(self, make_file: Any) -> None:
        lines = [b"q,a", b"1,x", b"2", b"3,x,y", b"4,\xff", b"", b"5,x"]
        found = read(make_file("rows.csv", b"\n".join(lines)))
        assert found[0] == Record(1, {"q": "1", "a": "x"})
        assert found[1] == Record(2, {"q": "2"}), "the shape reports the missing column"
        assert reasons(found) == {3: Rejection.wrong_columns}
        assert found[4] == Record(5, {"q": "5", "a": "x"}), "a blank line is not a row"
        fourth = found[3]
        assert isinstance(fourth, Record) and not _is_utf8(fourth.fields["a"])

    @pytest.mark.parametrize("bad", [b'"no end,x', b'"a" b,x', b'1,"no end'])
    def test_unbalanced_quote_rejects_only_its_row(self, bad: bytes, make_file: Any) -> None:
        lines = [b"q,a", bad, b'"2, ""two""","x\ny"', *(b"%d,x" % number for number in range(3, 30)), b'"30",x']
        found = read(make_file("rows.csv", b"\n".join(lines) + b"\n"))
        assert reasons(found) == {1: Rejection.broken_csv}
        assert good(found) == list(range(2, 31))
        assert found[1] == Record(2, {"q": '2, "two"', "a": "x\ny"})

    def test_endless_row(self, make_file: Any) -> None:
        found = read(make_file("rows.csv", b"q,a\n1,x\n2," + b"y" * (LIMIT + 1) + b"\n3,x\n"))
        assert good(found) == [1, 3] and reasons(found) == {2: Rejection.oversize}

    def test_unreadable_header_is_an_error(self, make_file: Any) -> None:
        with pytest.raises(InputError, match=r"rows\.csv: the header cannot be read"):
            read(make_file("rows.csv", b'"q,a\n1,x\n'))
        with pytest.raises(InputError, match="the header names q twice"):
            read(make_file("rows.csv", b"q,a,q\n1,x,2\n"))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class TestParquet:
    """Columns."""

    def test_many_batches_and_nested_values(self, make_file: Any) -> None:
        rows = [{"messages": [{"role": "user", "content": str(n)}], "n": n} for n in range(1000)]
        found = read(make_file("rows.parquet", as_parquet(rows)))
        assert found == [Record(number, row) for number, row in enumerate(rows, start=1)]

    def test_invalid_utf8_rejects_only_its_row(self, make_file: Any, tmp_path: Path) -> None:
        binary = pyarrow.array([b"good", b"\xff\xfe", b"good"], pyarrow.binary())
        text = pyarrow.Array.from_buffers(pyarrow.string(), 3, binary.buffers())
        parquet.write_table(pyarrow.table({"q": text}), tmp_path / "made.parquet")
        found = read(make_file("rows.parquet", (tmp_path / "made.parquet").read_bytes()))
        assert good(found) == [1, 3] and reasons(found) == {2: Rejection.invalid_unicode}

    @pytest.mark.parametrize("kept", [0, 100, -10])
    def test_damaged_file(self, kept: int, make_file: Any) -> None:
        with pytest.raises(InputError, match="cannot be read as Parquet"):
            read(make_file("rows.parquet", as_parquet(ROWS)[:kept]))


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.json.gz", "rows.csv.gz"])
def test_damaged_gzip_names_the_file(name: str, make_file: Any) -> None:
    with pytest.raises(InputError, match=rf"{name} is a damaged gzip file"):
        read(make_file(name, gzip.compress(b"[" + b'{"q": 1}\n' * 1000)[:-20]))
