"""CSV and TSV with a header. A record's number counts the rows after the header; blank lines are not rows.

What parts the fields is what the suffix means, unless the header shows another one: `;` where Excel writes decimal
commas, tabs, `|`.

A row whose quotes do not match would swallow those after it: the lines it took are then read again without its first,
so that it costs only itself.
"""

import csv
import itertools
from collections import deque
from collections.abc import Iterator

from components.collect.encodings import AUTO, EXAMPLES, valid_in
from components.collect.files import DataFile
from components.collect.formats.delimiters import delimiter_of, named_delimiter
from components.collect.formats.format import Format
from components.collect.records import Broken, Found, Reason, Record, oversize, shorten
from components.collect.streams import split_lines
from components.shared.errors import InputError
from components.shared.log import say


def read_csv(file: DataFile, limit: int) -> Found:
    """Stream the rows of a file whose fields are parted by commas. Raises InputError for a header of no use."""
    return read_rows(file, limit, ",")


def read_tsv(file: DataFile, limit: int) -> Found:
    """Stream the rows of a file whose fields are parted by tabs. Raises InputError for a header of no use."""
    return read_rows(file, limit, "\t")


class TooLongError(Exception):
    """A line has more bytes than a record may take."""


class Lines:
    """Decoded lines for the csv module, which remember those of the row being read."""

    def __init__(self, lines: Iterator[bytes | None]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self._row: list[str] = []

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._decode(next(self._lines))
        self._row.append(line)
        return line

    def begin_row(self) -> None:
        """Forget the lines of the row before."""
        self._row.clear()

    def give_back(self) -> None:
        """Let all lines of this row but the first be read again."""
        self._again.extendleft(reversed(self._row[1:]))

    @staticmethod
    def _decode(line: bytes | None) -> str:
        if line is None:
            raise TooLongError
        # Bytes that are no UTF-8 become lone surrogates, which are found when the row is whole.
        return line.decode("utf-8", "surrogateescape") + "\n"


def read_rows(file: DataFile, limit: int, expected: str) -> Found:
    """Stream the records of delimited text; columns that a short row lacks are absent from its fields."""
    csv.field_size_limit(limit)
    raw = split_lines(file.text_chunks(), limit)
    delimiter, raw = _delimiter(file, raw, expected)
    lines = Lines(raw)
    rows = _rows(csv.reader(lines, delimiter=delimiter, strict=True), lines, limit)
    first = next(rows, None)
    if first is None:
        return
    header = _header(file, first)
    for number, row in enumerate(rows, start=1):
        yield Broken(number, row.reason, row.detail) if isinstance(row, Broken) else _record(number, header, row)


def _delimiter(file: DataFile, raw: Iterator[bytes | None], expected: str) -> tuple[str, Iterator[bytes | None]]:
    """What parts the fields, and the lines from the header on."""
    first = next((line for line in raw if line is None or line.strip()), b"")
    text = (first or b"").decode("utf-8", "replace")
    named = named_delimiter(text)
    if named is not None:
        return named, raw
    found = delimiter_of(text, expected)
    if found != expected:
        say("collect", f"{file.uri}: its header parts the fields by {found!r}, so the rows are read that way")
    return found, raw if first == b"" else itertools.chain([first], raw)


def _header(file: DataFile, row: list[str] | Broken) -> list[str]:
    """The columns' names. Raises InputError: without them no row can be read."""
    if isinstance(row, Broken):
        # The csv module's words for a carriage return that no line feed follows.
        only_returns = row.detail.startswith("new-line character")
        raise InputError(
            f"{file.uri}: the header cannot be read: "
            + ("its lines end with a carriage return alone, as on an old Mac" if only_returns else row.detail),
            rule="the first line names the columns; its quotes match",
            remedy="end the lines with a line feed: `tr '\\r' '\\n'`" if only_returns else "repair the first line",
        )
    names = [name.strip() for name in row]
    raw = "".join(names).encode("utf-8", "surrogateescape")
    if not _is_unicode(names):
        raise InputError(
            f"{file.uri}: the header is no {'UTF-8' if file.encoding == AUTO else file.encoding}: it has {raw[:40]!r}",
            rule="text is UTF-8, or UTF-16 with a byte order mark, unless the source names its encoding",
            remedy=f"name the source's `encoding`, such as {EXAMPLES}{valid_in(raw)}",
        )
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    if twice:
        raise InputError(
            f"{file.uri}: the header names {', '.join(twice)} twice", remedy="give every column a name of its own"
        )
    return names


def _is_unicode(names: list[str]) -> bool:
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return False
    return True


def _rows(reader: Iterator[list[str]], lines: Lines, limit: int) -> Iterator[list[str] | Broken]:
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
            yield Broken(0, Reason.broken_csv, shorten(str(error)))
        else:
            if row:
                yield row


def _record(number: int, header: list[str], row: list[str]) -> Record | Broken:
    if len(row) > len(header):
        return Broken(number, Reason.wrong_columns, f"{len(row)} columns where the header has {len(header)}")
    return Record(number, dict(zip(header, row, strict=False)))


CSV = Format("csv", (".csv",), read_csv)
TSV = Format("tsv", (".tsv",), read_tsv)
