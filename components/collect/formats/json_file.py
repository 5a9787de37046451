"""JSON files: JSON lines, one array, or one object. The start of the file decides, not its suffix.

Many published `.json` files are JSON lines, and some `.jsonl` files are arrays.
"""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from components.collect.files.data_file import DataFile
from components.collect.files.records import Found, oversize, parse_object
from components.collect.files.streams import BOM, split_lines
from components.collect.formats.format import Format
from components.collect.formats.json_array import read_array
from components.collect.formats.json_object import OF_A_ROW, is_row, read_object

JsonLayout = Literal["lines", "array", "object"]
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]')
FIRST_NAME = re.compile(rb'\{\s*"([A-Za-z_]\w*)"')
PARTNER = {b"]": b"[", b"}": b"{"}


def read_json(file: DataFile, limit: int) -> Found:
    """Stream the file's records: a record's number is its line in JSON lines, else its place.

    Raises:
        InputError: a missing or extra bracket makes the rest of the file unreadable, or an object holds no rows.
    """
    chunks = file.text_chunks()
    head = _head(chunks, limit)
    kind = kind_of(head, truncated=len(head) > limit and b"\n" not in head.removeprefix(BOM).lstrip())
    if kind == "lines":
        yield from read_lines(itertools.chain([head], chunks), limit)
    elif kind == "array":
        yield from read_array(itertools.chain([head[head.index(b"[") + 1 :]], chunks), file.uri, limit)
    else:
        yield from read_object(file, limit)


def read_lines(chunks: Iterator[bytes], limit: int) -> Found:
    """Stream the records of JSON lines; a record's number is its line, and blank lines are skipped."""
    for number, line in enumerate(split_lines(chunks, limit), start=1):
        if line is None:
            yield oversize(number, limit)
        elif line.strip():
            yield parse_object(number, line)


def kind_of(head: bytes, truncated: bool = False) -> JsonLayout:
    """The layout of a file, by its first bytes.

    Args:
        head: the start of the file, up to its second line that is not blank, if there is one.
        truncated: whether `head` ends within the first line, which is longer than a record may be.
    """
    first, _, rest = head.removeprefix(BOM).lstrip().partition(b"\n")
    first, following = first.strip(), rest.lstrip()[:1]
    if not first.startswith((b"[", b"{")):
        return "lines"
    if truncated:
        return "array" if first.startswith(b"[") else "lines" if OF_A_ROW & set(_names(first)) else "object"
    value = _parsed(first)
    if first.startswith(b"["):
        return "lines" if value is not None and following else "array"
    if value is not None:
        return "object" if not following and _is_no_row(value) else "lines"
    return "object" if _goes_on(first, following) else "lines"


def _head(chunks: Iterator[bytes], limit: int) -> bytes:
    """The start of the text: up to the second line that is not blank, or the limit of one record."""
    head = b""
    for chunk in chunks:
        head += chunk
        _, end, rest = head.removeprefix(BOM).lstrip().partition(b"\n")
        if len(head) > limit or (end and rest.strip()):
            break
    return head


def _names(line: bytes) -> Iterator[str]:
    """The names of an object's direct members on its first line."""
    depth = 0
    for token in TOKEN.finditer(line):
        if token[0] in b"[{":
            depth += 1
        elif token[0] in b"]}":
            depth -= 1
        elif depth == 1 and line[token.end() : token.end() + 8].lstrip().startswith(b":"):
            yield token[0].decode("utf-8", "replace").strip('"')


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_no_row(value: dict[str, Any]) -> bool:
    """Whether an object is not a row but a container: of lists of objects, or of columns."""
    if is_row({name: json.dumps(item).encode()[:8] for name, item in value.items()}):
        return False
    lists = [item for item in value.values() if isinstance(item, list) and item]
    return any(isinstance(item[0], dict) for item in lists) or bool(OF_A_ROW & value.keys())


def _goes_on(line: bytes, following: bytes) -> bool:
    """Whether an object that does not end on its line continues on the next one; else it is a broken row."""
    stack: list[bytes] = []
    for token in TOKEN.findall(line):
        if token.startswith(b'"'):
            if len(token) == 1 or not token.endswith(b'"'):
                return False
        elif token in PARTNER:
            if not stack or stack.pop() != PARTNER[token]:
                return False
        else:
            stack.append(token)
    if not stack:
        return False
    if stack[-1] == b"{":
        return following in b'"},' or line.endswith(b":")
    name = FIRST_NAME.match(line)
    if stack != [b"{", b"["] or name is None or name[1].decode() in OF_A_ROW:
        return False
    return line.endswith((b"[", b",")) or following in b",]"


JSON = Format("json", (".json",), read_json)
JSONL = Format("jsonl", (".jsonl", ".ndjson"), read_json)
