"""Self-instruct seed tasks: an instruction with several instances {input, output}; each is a row (arXiv 2212.10560)."""

from collections.abc import Iterator

from components.collect.files.records import BadRowError, Rejection
from components.collect.shapes.shape import (
    Draft,
    RecordFields,
    Shape,
    ShapeSettings,
    joined,
    present,
    reply,
    require_instruction,
    text,
)
from components.collect.shapes.turns import turns_of


def recognises(fields: RecordFields) -> bool:
    """Whether the record has an instruction with instances."""
    return {"instruction", "instances"} <= fields.keys()


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one task; all its instances are accepted or rejected together."""
    instruction = require_instruction(text(fields, "instruction"))
    instances = turns_of(present(fields, "instances"), "instances")
    if not instances:
        raise BadRowError(Rejection.missing_field, "'instances' is empty")
    for instance in instances:
        given = text(instance, "input") if instance.get("input") is not None else ""
        yield Draft(joined(instruction, given, reading), reply(instance, reading, "output"))


SHAPE = Shape("seed_tasks", recognises, read, frozenset({"instruction", "instances"}))
