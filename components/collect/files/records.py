"""What a container format yields: records, and the parts of a file that are not readable as records."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from components.collect.files.encodings import MARK_BYTES, valid_in

DETAIL_LENGTH = 300
BYTES_PER_CHARACTER = 12
"""The longest JSON form of one character: a surrogate pair escaped as `\\uXXXX\\uXXXX`."""
BYTES_AROUND = 1 << 16
"""Room for a record's field names and fields that no shape reads."""


class Rejection(StrEnum):
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
    equal_responses = "equal-responses"
    oversize = "oversize"
    another_set = "another-set"
    not_comparable = "not-comparable"


class BadRowError(Exception):
    """One row cannot be used. It is caught where rows are normalised, and becomes a row of `rejected/`."""

    def __init__(self, reason: Rejection, detail: str = "") -> None:
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
    reason: Rejection
    detail: str = ""


Found = Iterator[Record | Broken]


def shorten(text: str) -> str:
    """The text on one line of bounded length, printable whatever a file holds."""
    flat = " ".join(text.encode("utf-8", "replace").decode().split())
    return flat if len(flat) <= DETAIL_LENGTH else flat[: DETAIL_LENGTH - 1] + "…"


def undecodable(data: bytes, start: int, reason: str) -> str:
    """The detail of invalid UTF-8: the byte, its position, and other encodings in which the bytes are valid."""
    if data.startswith(MARK_BYTES, start):
        return f"bytes after byte {start} are not valid in the encoding of the file"
    return f"byte 0x{data[start]:02x} at {start}: {reason}{valid_in(data)}"


def parse_object(line: int, data: bytes) -> Record | Broken:
    """Read the bytes of one JSON object."""
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Broken(line, Rejection.invalid_unicode, undecodable(data, error.start, error.reason))
    except RecursionError:
        return Broken(line, Rejection.broken_json, "nested too deeply")
    except ValueError as error:
        return Broken(line, Rejection.broken_json, shorten(str(error)))
    if not isinstance(value, dict):
        return Broken(line, Rejection.wrong_type, f"a record must be an object, found {type(value).__name__}")
    return Record(line, value)


def raw_limit(characters: int) -> int:
    """The largest size in bytes of a record of so many characters; longer ones are not held in memory."""
    return characters * BYTES_PER_CHARACTER + BYTES_AROUND


def oversize(line: int, limit: int) -> Broken:
    """A record that was skipped because it is longer than `limit` bytes."""
    return Broken(line, Rejection.oversize, f"more than {limit} bytes")
