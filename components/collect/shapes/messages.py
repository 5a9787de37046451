"""Chat messages: `messages`, a list of {role, content}. The last exchange is the row, the others its history."""

from collections.abc import Iterator

from components.collect.shapes.shape import SYSTEM, Draft, RecordFields, Shape, ShapeSettings, present, system_of
from components.collect.shapes.turns import looks_like_turns, read_conversation, turns_of

NAME = "messages"


def recognises(fields: RecordFields) -> bool:
    """Whether the record holds a list of messages with roles."""
    return NAME in fields and looks_like_turns(fields[NAME], "role")


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one conversation."""
    yield read_conversation(turns_of(present(fields, NAME), NAME), system_of(fields), reading, NAME)


SHAPE = Shape("messages", recognises, read, frozenset({NAME, *SYSTEM}))
