"""A made-up source shape: a dialogue with one line for each speaker."""

from collections.abc import Iterator

from components.collect.shapes.shape import Draft, RecordFields, Shape, ShapeSettings, text


def recognises(fields: RecordFields) -> bool:
    return "dialogue" in fields


def read(fields: RecordFields, settings: ShapeSettings) -> Iterator[Draft]:
    asked, _, answered = text(fields, "dialogue").partition("\n")
    yield Draft(asked, answered)


SHAPE = Shape("dialogue", recognises, read, frozenset({"dialogue"}))
