"""An array of objects in a JSON file, read as a stream.

The array is split at its commas and brackets, and each element is parsed on its own. So only a broken element is
rejected (a streaming parser such as ijson stops at the first error), and one element is in memory. A raw newline inside
a string is not valid JSON: it ends the string, so that the splitter recovers from a missing quote.
"""

import itertools
import re
from collections.abc import Iterator

from components.collect.files.records import Broken, Found, Rejection, oversize, parse_object, shorten
from components.shared.errors import InputError
from components.shared.text.counted import counted

OUTSIDE = re.compile(rb'["\[\]{},]')
INSIDE = re.compile(rb'["\\\n]')
HEAD = 512
"""Bytes that are kept of an element that is too long."""


def read_array(chunks: Iterator[bytes], uri: str, limit: int, ends_file: bool = True) -> Found:
    """Stream the elements of an array whose `[` was read already; a record's number is its place in the array.

    Raises:
        InputError: a missing or extra bracket makes the rest of the file unreadable, or something follows the array
            although it `ends_file`.
    """
    splitter = ArraySplitter(limit)
    number = 0
    for chunk in chunks:
        for element in splitter.feed(chunk):
            number += 1
            yield oversize(number, limit) if element is None else parse_object(number, element)
        if splitter.ended:
            break
    if not splitter.ended:
        yield _cut_off(uri, number + 1, splitter.held, limit)
    elif ends_file:
        require_nothing_more(
            itertools.chain([splitter.rest], chunks), uri, f"the array's end after {counted(number, 'record')}"
        )


def require_nothing_more(chunks: Iterator[bytes], uri: str, end: str) -> None:
    """Raises InputError if anything but white space follows."""
    for chunk in chunks:
        if text := chunk.strip():
            raise InputError(
                f"{uri}: after {end} follows {shorten(text[:80].decode('utf-8', 'replace'))!r}",
                rule="a JSON file is one array, one object, or JSON lines",
                remedy="remove the extra bracket before it, or write the file as JSON lines",
            )


def _cut_off(uri: str, number: int, lost: int, limit: int) -> Broken:
    """The last, unfinished element. Raises InputError if it is longer than a record: it may contain many records."""
    if lost > limit:
        raise InputError(
            f"{uri}: record {number} has no end, and the {lost} bytes after its start cannot be split into records",
            rule="a JSON file is one array whose brackets are balanced",
            remedy="repair the record, or write the file as JSON lines, where only the broken row is rejected",
        )
    return Broken(
        number, Rejection.broken_json, f"the file ends inside the array; {lost} bytes after the last complete record"
    )


class ArraySplitter:
    """Finds the elements of a JSON array in chunks of bytes that begin after its `[`, or the members of an object.

    `held` is the number of bytes since the last element's end, `ended` whether the closing bracket was seen, `rest`
    what follows it in the last chunk. `start` is the place of the current element's first byte among all bytes fed,
    and `head` its first bytes.
    """

    def __init__(self, limit: int, closer: bytes = b"]") -> None:
        self.ended = False
        self.held = 0
        self.start = 0
        self.head = b""
        self.rest = b""
        self._limit = limit
        self._closer = closer
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
        if self.ended:
            self.rest = chunk[position:]
        else:
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
            # The other bracket, one too many, belongs to a broken element; only the array's own ends it.
            self.ended = byte == self._closer
        return self.ended

    def _keep(self, piece: bytes) -> None:
        self.held += len(piece)
        if len(self.head) < HEAD:
            self.head += piece[: HEAD - len(self.head)]
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
        self.start += held + 1
        self.head = b""
