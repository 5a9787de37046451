"""Delimited text: delimiters, and encodings other than UTF-8."""

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from components.collect.files.records import Broken, Record, Rejection
from components.collect.formats.csv_rows import read_csv, read_tsv
from components.collect.formats.delimiters import delimiter_of
from components.shared.errors import InputError

ROWS = [{"question": "1,5 + 1,5?", "answer": "3; drei"}, {"question": "two\nlines | a\tb", "answer": 'say "中"'}]
FOUND = [Record(number, row) for number, row in enumerate(ROWS, start=1)]


def written(delimiter: str, quoting: Any = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(ROWS[0]), delimiter=delimiter, quoting=quoting)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue()


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("read", [read_csv, read_tsv])
def test_header_shows_the_delimiter(read: Any, delimiter: str, quoting: Any, make_file: Any) -> None:
    assert list(read(make_file("rows.csv", written(delimiter, quoting).encode()), 1000)) == FOUND


def test_other_delimiter_is_logged(make_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    list(read_csv(make_file("rows.csv", written(",").encode()), 1000))
    assert capsys.readouterr().err == ""
    list(read_csv(make_file("rows.csv", written(";").encode()), 1000))
    assert "the delimiter is ';'" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["sep=;\r\n", "\ufeffsep=;\n", '"sep=;"\n', "\nSEP=;\n"])
def test_excel_separator_line(line: str, make_file: Any) -> None:
    assert list(read_csv(make_file("rows.csv", (line + written(";")).encode()), 1000)) == FOUND


@pytest.mark.parametrize(
    ("header", "expected", "found"),
    [
        ("question,answer", ",", ","),
        ("question,answer;note", ",", ","),
        ("question;answer", ",", ";"),
        ("question;answer;note, short", "\t", ";"),
        ("question", ",", ","),
        ('"a;b"', ",", ","),
        ('"a,b";c', ",", ";"),
        ("a\tb;c", "\t", "\t"),
    ],
)
def test_the_expected_delimiter_has_precedence(header: str, expected: str, found: str) -> None:
    assert delimiter_of(header, expected) == found


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_unicode_text_of_excel(encoding: str, delimiter: str, make_file: Any) -> None:
    assert list(read_csv(make_file("rows.csv", written(delimiter).encode(encoding)), 1000)) == FOUND


def test_gbk_is_read_if_the_source_names_it(make_file: Any) -> None:
    text = written(",").replace("question", "问题").encode("gbk")
    file = make_file("rows.csv", text)
    with pytest.raises(InputError, match=r"header is not valid UTF-8") as caught:
        list(read_csv(file, 1000))
    assert "`encoding`" in caught.value.remedy and "valid as gb18030" in caught.value.remedy
    found = list(read_csv(replace(file, encoding="gbk"), 1000))
    assert [item.fields["answer"] for item in found if isinstance(item, Record)] == [row["answer"] for row in ROWS]


def test_wrong_encoding_rejects_only_the_rows_it_breaks(make_file: Any) -> None:
    file = replace(make_file("rows.csv", b"q,a\n1,x\n2,\xff\xff\n3,x\n"), encoding="gb18030")
    assert [item.line for item in read_csv(file, 1000) if isinstance(item, Record) and item.fields["a"] == "x"] == [
        1,
        3,
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "sep=;\n"])
def test_file_without_rows(text: str, make_file: Any) -> None:
    assert list(read_csv(make_file("rows.csv", text.encode()), 1000)) == []


def test_line_that_is_too_long_for_a_header(make_file: Any) -> None:
    with pytest.raises(InputError, match="header cannot be read: more than 10 bytes"):
        list(read_csv(make_file("rows.csv", b"q" * 100 + b",a\n1,2\n"), 10))


def test_line_ends_of_a_carriage_return_only_are_reported(make_file: Any) -> None:
    with pytest.raises(InputError, match="carriage return alone") as caught:
        list(read_csv(make_file("rows.csv", b"q,a\r1,x\r2,y\r"), 1000))
    assert "line feed" in caught.value.remedy


def test_oversize_first_row(make_file: Any) -> None:
    found = list(read_csv(make_file("rows.csv", b"q;a\n1;" + b"y" * 100 + b"\n2;x\n"), 50))
    assert found == [Broken(1, Rejection.oversize, "more than 50 bytes"), Record(2, {"q": "2", "a": "x"})]
