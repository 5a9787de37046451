"""ShareGPT conversations: `conversations`, a list of {from, value}; the system prompt may stand beside it."""

from collections.abc import Iterator

from components.collect.shapes.messages import ROLES, from_turns, require_turns, role_of
from components.collect.shapes.reading import Reading
from components.collect.shapes.shape import Draft, Fields, Shape, text
from components.shared.rows import Message, Role

SPEAKERS: dict[str, Role] = {
    **ROLES,
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}


def recognises(fields: Fields) -> bool:
    """Whether the record holds a list of conversation turns."""
    return isinstance(fields.get("conversations"), list)


def read(fields: Fields, reading: Reading) -> Iterator[Draft]:
    """Read one conversation; turns may also be written {role, content}."""
    turns = [_turn(turn) for turn in require_turns(fields, "conversations")]
    system = fields.get("system")
    if isinstance(system, str) and system and not (turns and turns[0].role == "system"):
        turns.insert(0, Message(role="system", content=system))
    yield from_turns(turns, reading)


def _turn(turn: Fields) -> Message:
    speaker = "from" if "from" in turn else "role"
    return Message(role=role_of(dict(turn), speaker, SPEAKERS), content=text(turn, "value", "content"))


SHAPE = Shape("sharegpt", recognises, read)
