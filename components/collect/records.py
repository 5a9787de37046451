"""What a container format yields: records, and what could not be read as one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from components.collect.encodings import MARK_BYTES, valid_in

DETAIL_LENGTH = 300
BYTES_PER_CHARACTER = 12
"""The longest JSON spelling of one character: a surrogate pair escaped as `\\uXXXX\\uXXXX`."""
BYTES_AROUND = 1 << 16
"""Room for a record's field names and fields that no shape reads."""


class Reason(StrEnum):
    """Why a row was rejected."""

    broken_json = "broken-json"
    broken_csv = "broken-csv"
    invalid_unicode = "invalid-unicode"
    wrong_columns = "wrong-columns"
    wrong_type = "wrong-type"
    missing_field = "missing-field"
    unknown_shape = "unknown-shape"
    empty_instruction = "empty-instruction"
    empty_response = "empty-response"
    wrong_turns = "wrong-turns"
    no_answer = "no-answer"
    needs_tools = "needs-tools"
    needs_media = "needs-media"
    not_learnt = "not-learnt"
    contradictory_labels = "contradictory-labels"
    oversize = "oversize"


class BadRowError(Exception):
    """One row cannot be used; it is caught where rows are normalised and becomes a line in `rejected/`."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, shorten(detail)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file: its 1-based line (JSONL) or number (other formats), and its fields."""

    line: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that could not be read."""

    line: int
    reason: Reason
    detail: str = ""


Found = Iterator[Record | Broken]


def shorten(text: str) -> str:
    """The text on one line of bounded length, printable whatever a file holds."""
    flat = " ".join(text.encode("utf-8", "replace").decode().split())
    return flat if len(flat) <= DETAIL_LENGTH else flat[: DETAIL_LENGTH - 1] + "…"


def undecodable(data: bytes, start: int, reason: str) -> str:
    """The detail of bytes that are no UTF-8: which, where, and in which other encodings they would be text."""
    if data.startswith(MARK_BYTES, start):
        return f"bytes after byte {start} that are no text in the encoding of the file"
    return f"byte 0x{data[start]:02x} at {start}: {reason}{valid_in(data)}"


def parse_object(line: int, data: bytes) -> Record | Broken:
    """Read the bytes of one JSON object."""
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Broken(line, Reason.invalid_unicode, undecodable(data, error.start, error.reason))
    except RecursionError:
        return Broken(line, Reason.broken_json, "nested too deeply")
    except ValueError as error:
        return Broken(line, Reason.broken_json, shorten(str(error)))
    if not isinstance(value, dict):
        return Broken(line, Reason.wrong_type, f"a record is an object, this is {type(value).__name__}")
    return Record(line, value)


def raw_limit(characters: int) -> int:
    """Bytes that a record of so many characters takes at most; what is longer is not held in memory."""
    return characters * BYTES_PER_CHARACTER + BYTES_AROUND


def oversize(line: int, limit: int) -> Broken:
    """A record that was skipped because its bytes pass the limit."""
    return Broken(line, Reason.oversize, f"more than {limit} bytes")
