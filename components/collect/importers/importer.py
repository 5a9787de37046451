"""What an importer is: it turns the original files of an evaluation set into questions."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from components.collect.files.records import Rejection, shorten
from components.collect.files.streams import BOM
from components.shared.errors import InputError
from components.shared.rows import Question

LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class OriginalFile:
    """One original file: its path in the zip or folder, and a stream of its bytes, unpacked."""

    name: str
    uri: str
    open: Callable[[], Iterator[bytes]]
    open_binary: Callable[[], Iterator[bytes]] | None = None
    """The same without decoding it as text; None where there is no such stream."""

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects of a small JSON, JSON Lines or Parquet file, as its name says, with 1-based numbers.

        Raises InputError.
        """
        if ".parquet" in self.name:
            return self._parquet_rows()
        return self._array_items() if ".jsonl" not in self.name and self._is_array() else self.objects()

    def _parquet_rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        import pyarrow as arrow
        from pyarrow import parquet

        data = b"".join((self.open_binary or self.open)())
        try:
            rows = parquet.read_table(arrow.BufferReader(data)).to_pylist()
        except (arrow.ArrowException, OSError) as error:
            raise self.wrong(1, f"not a readable Parquet file: {error}") from error
        yield from enumerate(rows, start=1)

    def _is_array(self) -> bool:
        return next((line.lstrip().startswith("[") for _, line in self.lines()), False)

    def _array_items(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, item in enumerate(self.whole(), start=1):
            if not isinstance(item, dict):
                raise self.wrong(number, f"expected an object, found {type(item).__name__}")
            yield number, item

    def lines(self) -> Iterator[tuple[int, str]]:
        """Non-empty lines with their 1-based numbers. Raises InputError for invalid UTF-8."""
        for number, line in enumerate(self._raw_lines(), start=1):
            if line.strip():
                yield number, self._decoded(number, line)

    def text_lines(self) -> Iterator[str]:
        """All lines, blank ones too, without their ends. Raises InputError for invalid UTF-8."""
        for number, line in enumerate(self._raw_lines(), start=1):
            yield self._decoded(number, line).removesuffix("\r")

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """JSON objects, one on each line, with line numbers. Raises InputError."""
        for number, line in self.lines():
            value = self._parsed(number, line)
            if not isinstance(value, dict):
                raise self.wrong(number, f"expected an object, found {type(value).__name__}")
            yield number, value

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """CSV rows with 1-based numbers. Raises InputError."""
        lines = (self._decoded(number, line) + "\n" for number, line in enumerate(self._raw_lines(), start=1))
        number = 0
        try:
            for row in csv.reader(lines, strict=True):
                number += 1
                if row:
                    yield number, row
        except csv.Error as error:
            raise self.wrong(number + 1, str(error)) from error

    def whole(self) -> Any:
        """The file as one JSON value, for formats whose files are small. Raises InputError."""
        return self._parsed(1, self._decoded(1, b"".join(self.open())))

    def wrong(self, number: int, what: str) -> InputError:
        """The error for a line or row that the importer cannot read."""
        return InputError(
            f"{self.uri}: {self.name} line {number}: {shorten(what)}",
            rule="every row of an evaluation set must be readable: a set with missing questions is not comparable",
            remedy="correct the row, download the original file again, or set the right `importer`",
        )

    def _raw_lines(self) -> Iterator[bytes]:
        rest = b""
        for place, chunk in enumerate(self.open()):
            *whole, rest = (rest + (chunk.removeprefix(BOM) if place == 0 else chunk)).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def _decoded(self, number: int, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise self.wrong(number, str(error)) from error

    def _parsed(self, number: int, data: str) -> Any:
        try:
            return json.loads(data)
        except ValueError as error:
            raise self.wrong(number, str(error)) from error


@dataclass(frozen=True)
class RejectedQuestion:
    """A row that is left out and counted: one of another set, or one whose answer cannot be compared."""

    line: int
    reason: Rejection
    detail: str


@dataclass(frozen=True)
class Importer:
    """How an evaluation set is read.

    `wants` matches the paths of the files to read; its groups, if any, are passed to `read`. `read` yields a file's
    questions, with the benchmark's name that it is given, and the rows that are left out.
    """

    name: str
    wants: re.Pattern[str]
    read: Callable[[str, OriginalFile, re.Match[str]], Iterator[Question] | Iterator[Question | RejectedQuestion]]


def need(member: OriginalFile, number: int, fields: dict[str, Any], name: str) -> str:
    """A text field. Raises InputError when it is missing or not text."""
    value = fields.get(name)
    if not isinstance(value, str):
        what = f"{name!r} is {type(value).__name__}" if name in fields else f"lacks {name!r}; has {', '.join(fields)}"
        raise member.wrong(number, what)
    return value


def require_letter(member: OriginalFile, number: int, answer: str, choices: tuple[str, ...]) -> str:
    """The letter of one of the choices. Raises InputError."""
    letter = answer.strip().upper()
    if letter not in tuple(LETTERS[: len(choices)]):
        raise member.wrong(number, f"answer {answer!r} is not one of the letters {LETTERS[: len(choices)]}")
    return letter
