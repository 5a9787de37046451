"""Rows of a question and its answer."""

from collections.abc import Iterator

from components.collect.shapes.history import history_of
from components.collect.shapes.shape import SYSTEM, Draft, RecordFields, Shape, ShapeSettings, reply, system_of, text


def recognises(fields: RecordFields) -> bool:
    """Whether the record has a question and an answer."""
    return {"question", "answer"} <= fields.keys()


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one row."""
    yield Draft(text(fields, "question"), reply(fields, reading, "answer"), system_of(fields), history_of(fields))


SHAPE = Shape("question_answer", recognises, read, frozenset({"question", "answer", *SYSTEM, "history"}))
