"""CSV and TSV with a header. A record's number counts the rows after the header; blank lines are not rows.

A row whose quotes do not match would swallow those after it: the lines it took are then read again without its first,
so that it costs only itself.
"""

import csv
from collections import deque
from collections.abc import Iterator

from components.collect.files import DataFile
from components.collect.formats.format import Format
from components.collect.records import Broken, Found, Reason, Record, oversize, shorten
from components.collect.streams import split_lines


def read_csv(file: DataFile, limit: int) -> Found:
    """Stream the rows of a file whose fields are parted by commas."""
    return read_rows(file.chunks(), limit, ",")


def read_tsv(file: DataFile, limit: int) -> Found:
    """Stream the rows of a file whose fields are parted by tabs."""
    return read_rows(file.chunks(), limit, "\t")


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


def read_rows(chunks: Iterator[bytes], limit: int, delimiter: str) -> Found:
    """Stream the records of delimited text; columns that a short row lacks are absent from its fields."""
    csv.field_size_limit(limit)
    lines = Lines(split_lines(chunks, limit))
    header: list[str] | None = None
    number = 0
    for row in _rows(csv.reader(lines, delimiter=delimiter, strict=True), lines, limit):
        if header is None:
            if isinstance(row, Broken):
                yield Broken(1, row.reason, f"the header: {row.detail}")
                return
            header = [name.strip() for name in row]
            continue
        number += 1
        yield Broken(number, row.reason, row.detail) if isinstance(row, Broken) else _record(number, header, row)


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
