"""ShareGPT conversations: `conversations`, a list of {from, value}; the system prompt may be a field beside it."""

from collections.abc import Iterator

from components.collect.shapes.shape import SYSTEM, Draft, RecordFields, Shape, ShapeSettings, present, system_of
from components.collect.shapes.turns import SPEAKER, looks_like_turns, read_conversation, turns_of

NAME = "conversations"


def recognises(fields: RecordFields) -> bool:
    """Whether the record holds a list of conversation turns."""
    return NAME in fields and (isinstance(fields[NAME], list) or looks_like_turns(fields[NAME], *SPEAKER))


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one conversation; turns may also be written {role, content}."""
    yield read_conversation(turns_of(present(fields, NAME), NAME), system_of(fields), reading, NAME)


SHAPE = Shape("sharegpt", recognises, read, frozenset({NAME, *SYSTEM}))
