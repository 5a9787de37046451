"""Alpaca rows: instruction, input (may be empty or absent), output."""

from collections.abc import Iterator

from components.collect.shapes.reading import Reading
from components.collect.shapes.shape import Draft, Fields, Shape, joined, reply, require_instruction, text


def recognises(fields: Fields) -> bool:
    """Whether the record has the fields of an Alpaca row."""
    return {"instruction", "output"} <= fields.keys()


def read(fields: Fields, reading: Reading) -> Iterator[Draft]:
    """Read one row; the input follows the instruction after the source's separator."""
    instruction = require_instruction(text(fields, "instruction"))
    given = text(fields, "input") if fields.get("input") is not None else ""
    yield Draft(joined(instruction, given, reading), reply(fields, reading, "output"), _system(fields))


def _system(fields: Fields) -> str:
    return text(fields, "system") if fields.get("system") is not None else ""


SHAPE = Shape("alpaca", recognises, read)
