"""A JSON file that is one array of objects, read as a stream.

The array is split at its own commas and brackets and each element is parsed by itself, so that a broken element costs
only itself (a streaming parser such as ijson ends at the first fault) and memory holds one element. A raw newline
inside a string is no JSON: there the string is taken as ended, which brings the splitter back in step after a missing
quote. A `.json` file that does not begin with `[` is read as JSON lines, which many published files really are.
"""

import itertools
import re
from collections.abc import Iterator

from components.collect.files import DataFile
from components.collect.formats import jsonl
from components.collect.formats.format import Format
from components.collect.records import Broken, Found, Reason, oversize, parse_object
from components.collect.streams import BOM
from components.shared.errors import InputError

OUTSIDE = re.compile(rb'["\[\]{},]')
INSIDE = re.compile(rb'["\\\n]')


def read_json(file: DataFile, limit: int) -> Found:
    """Stream the elements of the file's array; a record's number is its place in the array.

    Raises:
        InputError: a missing bracket makes the rest of the file unreadable.
    """
    chunks = file.chunks()
    head = b""
    while not (start := head.removeprefix(BOM).lstrip()) and (chunk := next(chunks, b"")):
        head += chunk
    if not start.startswith(b"["):
        yield from jsonl.read_chunks(itertools.chain([head], chunks), limit)
        return
    splitter = ArraySplitter(limit)
    number = 0
    for chunk in itertools.chain([start[1:]], chunks):
        for element in splitter.feed(chunk):
            number += 1
            yield oversize(number, limit) if element is None else parse_object(number, element)
    if not splitter.ended:
        yield _cut_off(file, number + 1, splitter.held, limit)


def _cut_off(file: DataFile, number: int, lost: int, limit: int) -> Broken:
    """The last, unfinished element; what is longer than one record may hide many, which may not pass unseen."""
    if lost > limit:
        raise InputError(
            f"{file.uri}: record {number} has no end, and the {lost} bytes after its beginning cannot be told apart",
            rule="a JSON file is one array whose brackets are balanced",
            remedy="repair the record, or write the file as JSON lines, where a broken row costs only itself",
        )
    return Broken(
        number, Reason.broken_json, f"the file ends inside the array; {lost} bytes after the last whole record"
    )


class ArraySplitter:
    """Finds the elements of a JSON array in chunks of bytes that begin after its `[`.

    `held` is the number of bytes since the last element's end, `ended` whether the array's `]` was seen.
    """

    def __init__(self, limit: int) -> None:
        self.ended = False
        self.held = 0
        self._limit = limit
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """The elements that end in this chunk; None stands for one of more than the limit's bytes."""
        start, position = 0, int(self._escaped)
        self._escaped = False
        while not self.ended and (match := (INSIDE if self._in_string else OUTSIDE).search(chunk, position)):
            position = match.end()
            if match[0] == b"\\":
                self._escaped = position == len(chunk)
                position += 1
            elif self._ends_element(match[0]):
                self._keep(chunk[start : match.start()])
                yield from self._take()
                start = position
        if not self.ended:
            self._keep(chunk[start:])

    def _ends_element(self, byte: bytes) -> bool:
        """Follow one structural byte."""
        if self._in_string or byte == b'"':
            self._in_string = not self._in_string
        elif byte in b"[{":
            self._depth += 1
        elif byte == b",":
            return self._depth == 0
        elif self._depth > 0:
            self._depth -= 1
        else:
            # A `}` too many belongs to a broken element; only `]` ends the array.
            self.ended = byte == b"]"
        return self.ended

    def _keep(self, piece: bytes) -> None:
        self.held += len(piece)
        self._pieces.append(piece)
        if self.held > self._limit:
            self._pieces.clear()

    def _take(self) -> Iterator[bytes | None]:
        """The element held so far; nothing for the blank before the end of an empty array."""
        element, held = b"".join(self._pieces), self.held
        self._pieces.clear()
        self.held = 0
        if held > self._limit:
            yield None
        elif element.strip() or not self.ended:
            yield element


FORMAT = Format("json", (".json",), read_json)
