"""Alpaca rows: instruction, input (may be empty or absent), output; earlier exchanges in `history`."""

from collections.abc import Iterator

from components.collect.shapes.history import history_of
from components.collect.shapes.shape import (
    SYSTEM,
    Draft,
    RecordFields,
    Shape,
    ShapeSettings,
    joined,
    reply,
    require_instruction,
    system_of,
    text,
)


def recognises(fields: RecordFields) -> bool:
    """Whether the record has the fields of an Alpaca row."""
    return {"instruction", "output"} <= fields.keys()


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one row; the input follows the instruction after the source's separator."""
    instruction = require_instruction(text(fields, "instruction"))
    given = text(fields, "input") if fields.get("input") is not None else ""
    asked, answered = joined(instruction, given, reading), reply(fields, reading, "output")
    yield Draft(asked, answered, system_of(fields), history_of(fields))


SHAPE = Shape("alpaca", recognises, read, frozenset({"instruction", "input", "output", *SYSTEM, "history"}))
