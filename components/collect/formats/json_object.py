"""A JSON file that is one object: a single row, or an object that holds the rows under one name, `{"data": […]}`.

The file is read twice: once for the object's members, once for the rows.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from components.collect.files.data_file import TRAIN, DataFile
from components.collect.files.records import Broken, Found, Record, oversize, parse_object
from components.collect.files.splits import canonical_split
from components.collect.files.streams import BOM
from components.collect.formats.json_array import ArraySplitter, read_array, require_nothing_more
from components.shared.errors import InputError
from components.shared.log import say

NAME = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:\s*')
ROWS = re.compile(rb"\[\s*\{")
LIST, OBJECT = b"[", b"{"
OF_A_ROW = frozenset({"instruction", "prompt", "question", "problem", "messages", "conversations"})
"""Names of which a row has at least one, and a container of rows none."""
CONVERSATIONS = frozenset({"messages", "conversations"})
OF_ROWS = frozenset({"data", "rows", "examples", "instances", "items", "records"})
"""Usual names of the list of rows, if an object has several lists."""
SPLITS = frozenset({TRAIN, "validation", "test"})


@dataclass(frozen=True)
class ObjectMember:
    """One member of the object: its name, the first bytes of its value, and the value's offset in the text."""

    name: str
    value: bytes
    start: int


def read_object(file: DataFile, limit: int) -> Found:
    """Stream the rows of a file that is one object.

    Raises:
        InputError: the object has no end, or is not a row and does not hold exactly one list of rows.
    """
    members = list(_members(file, limit))
    if is_row({member.name: member.value for member in members}):
        yield _single(file, limit)
        return
    chosen = _choose(file, members)
    beside = [member.name for member in members if member is not chosen]
    say(
        "collect",
        f"{file.uri} is one object: its rows are the list {chosen.name!r}"
        + (f"; not read: {', '.join(beside)}" if beside else ""),
    )
    yield from read_array(_after(file.text_chunks(), chosen.start + 1), file.uri, limit, ends_file=False)


def is_row(values: Mapping[str, bytes]) -> bool:
    """Whether an object is a row, by its names and the first bytes of their values, which tell a table of columns."""
    if CONVERSATIONS & values.keys():
        return True
    columns = all(value.startswith(LIST) and not ROWS.match(value) for value in values.values())
    by_name = all(value.startswith(OBJECT) for value in values.values())
    return bool(OF_A_ROW & values.keys()) and not columns and not by_name


def _single(file: DataFile, limit: int) -> Record | Broken:
    """The object as one row."""
    data = b""
    for chunk in file.text_chunks():
        data += chunk
        if len(data) > limit:
            return oversize(1, limit)
    return parse_object(1, data.removeprefix(BOM))


def _members(file: DataFile, limit: int) -> Iterator[ObjectMember]:
    """The object's members, from one pass over the file. Raises InputError."""
    opening = _opening(file)
    chunks = _after(file.text_chunks(), opening)
    splitter = ArraySplitter(limit, b"}")
    for chunk in chunks:
        for _ in splitter.feed(chunk):
            name = NAME.match(splitter.head)
            if name is None:
                raise _unreadable(file, f"near {splitter.head[:80].decode('utf-8', 'replace')!r}")
            value = splitter.head[name.end() :]
            yield ObjectMember(_text(name[1]), value, opening + splitter.start + name.end())
        if splitter.ended:
            break
    if not splitter.ended:
        raise _unreadable(file, f"its end is missing after {splitter.start} bytes")
    require_nothing_more(iter([splitter.rest]), file.uri, "the object's end")
    require_nothing_more(chunks, file.uri, "the object's end")


def _choose(file: DataFile, members: list[ObjectMember]) -> ObjectMember:
    """The member that holds the rows. Raises InputError."""
    found = [member for member in members if ROWS.match(member.value)]
    by_split = {canonical_split(member.name): member for member in found}
    if found and by_split.keys() <= SPLITS:
        if canonical_split(file.split) not in by_split:
            raise InputError(
                f"{file.uri} is one object, and has no split {file.split!r}",
                allowed=[member.name for member in found],
                remedy="set `split` to one of these",
            )
        return by_split[canonical_split(file.split)]
    likely = found if len(found) == 1 else [member for member in found if member.name.lower() in OF_ROWS]
    if len(likely) != 1:
        raise _unreadable(file, _what(members, found))
    return likely[0]


def _what(members: list[ObjectMember], found: list[ObjectMember]) -> str:
    names = ", ".join(repr(member.name) for member in members[:8]) + (" …" if len(members) > 8 else "")
    if found:
        return f"it holds several lists of objects: {', '.join(repr(member.name) for member in found)}"
    if members and all(member.value.startswith(LIST) for member in members):
        return f"it holds columns, not rows: lists under {names}"
    if members and all(member.value.startswith(OBJECT) for member in members):
        return f"it holds objects by name ({names}), not a list of them"
    return f"it holds no list of objects; it has {names or 'nothing'}"


def _unreadable(file: DataFile, what: str) -> InputError:
    return InputError(
        f"{file.uri} is one JSON object that cannot be read as rows: {what}",
        rule='a JSON file is an array of rows, JSON lines, one row, or an object with one list of rows: {"data": […]}',
        remedy="write the rows as JSON lines",
    )


def _opening(file: DataFile) -> int:
    """The offset of the object's content: after its `{`."""
    place = 0
    for chunk in file.text_chunks():
        text = chunk.removeprefix(BOM) if place == 0 else chunk
        place += len(chunk)
        if stripped := text.lstrip():
            return place - len(stripped) + 1
    return place


def _after(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """The stream without its first bytes."""
    for chunk in chunks:
        if count < len(chunk):
            yield chunk[count:]
        count = max(0, count - len(chunk))


def _text(quoted: bytes) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted.decode("utf-8", "replace")
