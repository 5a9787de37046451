"""Plain text that holds several texts, such as poems. A record has a text and its `id`: the number that is before it.

A line with only a number (`18`, `XVIII.`, `Sonnet 18`), at the start or after a blank line, begins a text; what is
before the first number is a title, and is not read. Where there are no numbers, blank lines divide the texts. The
header and the licence around a text of Project Gutenberg are not read.
"""

import itertools
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from components.collect.files.data_file import DataFile
from components.collect.files.records import Broken, Found, Record, oversize
from components.collect.files.streams import split_lines
from components.collect.formats.format import Format
from components.shared.log import say
from components.shared.text.counted import counted

ROMAN = r"(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
NUMBER = re.compile(rf"\s*(?:(?i:sonnet)\s+)?(\d+|{ROMAN})\.?\s*")
BEGINS, ENDS = "*** START OF", "*** END OF"
"""How the lines begin that are before and after a text of Project Gutenberg."""

Lines = Callable[[], Iterator[str | None]]
"""Begins a pass over the lines of a file, without their ends; None for one that is too long."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One text of a file: the line that it begins at, from 1, and the number before it, empty without one.

    `text` is None when it is too long.
    """

    line: int
    number: str
    text: str | None


@dataclass(frozen=True)
class Extent:
    """The lines of a file that hold texts, from `first` (0-based) to before `end`; whether these have numbers."""

    first: int
    end: int | None
    numbered: bool


def read_texts(file: DataFile, limit: int) -> Found:
    """Stream the texts of a file; a record's number is the text's place. Raises InputError for a damaged file."""

    def lines() -> Iterator[str | None]:
        for line in split_lines(file.text_chunks(), limit):
            # Invalid UTF-8 becomes lone surrogates, which are detected when the row is normalised.
            yield None if line is None else line.decode("utf-8", "surrogateescape")

    for place, piece in enumerate(divide(lines, file.uri, limit), start=1):
        yield _record(place, piece, limit)


def divide(lines: Lines, uri: str, limit: int) -> Iterator[Piece]:
    """The texts of a file, which is read twice; `limit` is the most characters of one. What is not read is logged."""
    extent = _survey(lines())
    if extent.first or extent.end is not None:
        end = "" if extent.end is None else f" and from line {extent.end + 1}"
        say("collect", f"{uri}: what Project Gutenberg put around the texts is not read (to line {extent.first}{end})")
    body = enumerate(itertools.islice(lines(), extent.first, extent.end), start=extent.first + 1)
    return _by_number(body, uri, limit) if extent.numbered else _by_blank_lines(body, limit)


def _survey(lines: Iterable[str | None]) -> Extent:
    first, numbered, after_blank = 0, False, True
    for place, line in enumerate(lines):
        if line is not None and line.startswith(BEGINS):
            first, numbered, after_blank = place + 1, False, True
            continue
        if line is not None and line.startswith(ENDS):
            return Extent(first, place, numbered)
        numbered = numbered or (after_blank and _number(line) is not None)
        after_blank = _is_blank(line)
    return Extent(first, None, numbered)


class _Growing:
    """A text that grows line by line; the lines of one that is too long are not kept."""

    def __init__(self, number: str, limit: int) -> None:
        self.number, self._limit = number, limit
        self.begin, self.filled, self._characters = 0, 0, 0
        self._lines: list[str] = []
        self._too_long = False

    def add(self, place: int, line: str | None) -> None:
        """The next line, and its place in the file, from 1."""
        if not _is_blank(line):
            self.begin = self.begin or place
            self.filled += 1
        self._characters += len(line or "")
        self._too_long = self._too_long or line is None or self._characters > self._limit
        if self._too_long:
            self._lines.clear()
        else:
            self._lines.append((line or "").rstrip())

    def piece(self) -> Piece:
        """The text without its indent, and without blank lines around it."""
        whole = None if self._too_long else textwrap.dedent("\n".join(self._lines)).strip("\n")
        return Piece(self.begin, self.number, whole)


def _by_number(body: Iterable[tuple[int, str | None]], uri: str, limit: int) -> Iterator[Piece]:
    growing, after_blank = _Growing("", limit), True
    for place, line in body:
        number = _number(line) if after_blank else None
        if number is None:
            growing.add(place, line)
        elif growing.number:
            yield growing.piece()
        elif growing.filled:
            say("collect", f"{uri}: not read: {counted(growing.filled, 'line')} before the first number")
        growing = growing if number is None else _Growing(number, limit)
        after_blank = _is_blank(line)
    yield growing.piece()


def _by_blank_lines(body: Iterable[tuple[int, str | None]], limit: int) -> Iterator[Piece]:
    growing = _Growing("", limit)
    for place, line in body:
        if not _is_blank(line):
            growing.add(place, line)
        elif growing.filled:
            yield growing.piece()
            growing = _Growing("", limit)
    if growing.filled:
        yield growing.piece()


def _number(line: str | None) -> str | None:
    """The number that is all of a line; None for any other line."""
    found = NUMBER.fullmatch(line or "")
    return found[1] if found else None


def _is_blank(line: str | None) -> bool:
    return line is not None and not line.strip()


def _record(place: int, piece: Piece, limit: int) -> Record | Broken:
    if piece.text is None:
        return oversize(place, limit)
    return Record(place, {**({"id": piece.number} if piece.number else {}), "text": piece.text})


FORMAT = Format("texts", (), read_texts)
