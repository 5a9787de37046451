"""Rows of a prompt and its response (or completion)."""

from collections.abc import Iterator

from components.collect.shapes.reading import Reading
from components.collect.shapes.shape import Draft, Fields, Shape, first_present, reply, text

RESPONSES = ("response", "completion")


def recognises(fields: Fields) -> bool:
    """Whether the record has a prompt and a response."""
    return "prompt" in fields and first_present(fields, RESPONSES) is not None


def read(fields: Fields, reading: Reading) -> Iterator[Draft]:
    """Read one row."""
    yield Draft(text(fields, "prompt"), reply(fields, reading, *RESPONSES))


SHAPE = Shape("prompt_response", recognises, read)
