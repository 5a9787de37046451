"""CSV and TSV with a header. A record's number counts the rows after the header; blank lines are not rows.

The suffix determines the delimiter, unless the header shows another one: `;` (Excel in locales with decimal commas),
tab or `|`.

A row with unbalanced quotes would swallow the rows after it. So its lines, except the first, are read again, and only
that row is rejected.
"""

import csv
import itertools
from collections import deque
from collections.abc import Iterator

from components.collect.files.data_file import DataFile
from components.collect.files.encodings import AUTO, EXAMPLES, valid_in
from components.collect.files.records import Broken, Found, Record, Rejection, oversize, shorten
from components.collect.files.streams import split_lines
from components.collect.formats.delimiters import delimiter_of, named_delimiter
from components.collect.formats.format import Format
from components.shared.errors import InputError
from components.shared.log import say


def read_csv(file: DataFile, limit: int) -> Found:
    """Stream the rows of a file whose fields are separated by commas. Raises InputError for an unusable header."""
    return read_rows(file, limit, ",")


def read_tsv(file: DataFile, limit: int) -> Found:
    """Stream the rows of a file whose fields are separated by tabs. Raises InputError for an unusable header."""
    return read_rows(file, limit, "\t")


class TooLongError(Exception):
    """A line is longer than the limit of a record."""


class CsvLines:
    """Decoded lines for the csv module; keeps those of the row that is being read."""

    def __init__(self, lines: Iterator[bytes | None]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self._row: list[str] = []

    def __iter__(self) -> "CsvLines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._decode(next(self._lines))
        self._row.append(line)
        return line

    def begin_row(self) -> None:
        """Drop the lines of the previous row."""
        self._row.clear()

    def give_back(self) -> None:
        """Have all lines of this row, except the first, read again."""
        self._again.extendleft(reversed(self._row[1:]))

    @staticmethod
    def _decode(line: bytes | None) -> str:
        if line is None:
            raise TooLongError
        # Invalid UTF-8 becomes lone surrogates, which are detected when the row is complete.
        return line.decode("utf-8", "surrogateescape") + "\n"


def read_rows(file: DataFile, limit: int, expected: str) -> Found:
    """Stream the records of delimited text; the fields of a short row lack its missing columns."""
    csv.field_size_limit(limit)
    raw = split_lines(file.text_chunks(), limit)
    delimiter, raw = _delimiter(file, raw, expected)
    lines = CsvLines(raw)
    rows = _rows(csv.reader(lines, delimiter=delimiter, strict=True), lines, limit)
    first = next(rows, None)
    if first is None:
        return
    header = read_header(file, first)
    for number, row in enumerate(rows, start=1):
        yield Broken(number, row.reason, row.detail) if isinstance(row, Broken) else _record(number, header, row)


def _delimiter(file: DataFile, raw: Iterator[bytes | None], expected: str) -> tuple[str, Iterator[bytes | None]]:
    """The delimiter, and the lines from the header on."""
    first = next((line for line in raw if line is None or line.strip()), b"")
    text = (first or b"").decode("utf-8", "replace")
    named = named_delimiter(text)
    if named is not None:
        return named, raw
    found = delimiter_of(text, expected)
    if found != expected:
        say("collect", f"{file.uri}: the delimiter is {found!r}, as in the header")
    return found, raw if first == b"" else itertools.chain([first], raw)


def read_header(file: DataFile, row: list[str] | Broken) -> list[str]:
    """The column names. Raises InputError if the header is not usable."""
    if isinstance(row, Broken):
        # The csv module's message for a carriage return without a line feed.
        only_returns = row.detail.startswith("new-line character")
        raise InputError(
            f"{file.uri}: the header cannot be read: "
            + ("its lines end with a carriage return alone" if only_returns else row.detail),
            rule="the first line names the columns; its quotes are balanced",
            remedy="end the lines with a line feed: `tr '\\r' '\\n'`" if only_returns else "repair the first line",
        )
    names = [name.strip() for name in row]
    raw = "".join(names).encode("utf-8", "surrogateescape")
    if not _is_unicode(names):
        raise InputError(
            f"{file.uri}: the header is not valid {'UTF-8' if file.encoding == AUTO else file.encoding}: {raw[:40]!r}",
            rule="text is UTF-8, or UTF-16 with a byte order mark, unless the source names its encoding",
            remedy=f"set the source's `encoding`, such as {EXAMPLES}{valid_in(raw)}",
        )
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    if twice:
        raise InputError(
            f"{file.uri}: the header names {', '.join(twice)} twice", remedy="give each column a unique name"
        )
    return names


def _is_unicode(names: list[str]) -> bool:
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return False
    return True


def _rows(reader: Iterator[list[str]], lines: CsvLines, limit: int) -> Iterator[list[str] | Broken]:
    while True:
        lines.begin_row()
        try:
            row = next(reader)
        except StopIteration:
            return
        except TooLongError:
            yield oversize(0, limit)
        except csv.Error as error:
            lines.give_back()
            yield Broken(0, Rejection.broken_csv, shorten(str(error)))
        else:
            if row:
                yield row


def _record(number: int, header: list[str], row: list[str]) -> Record | Broken:
    if len(row) > len(header):
        return Broken(number, Rejection.wrong_columns, f"{len(row)} columns, the header has {len(header)}")
    return Record(number, dict(zip(header, row, strict=False)))


CSV = Format("csv", (".csv",), read_csv)
TSV = Format("tsv", (".tsv",), read_tsv)
