"""Chat messages: `messages`, a list of {role, content}. The last exchange is the row, what precedes it its history."""

from collections.abc import Iterator
from typing import Any

from components.collect.records import BadRowError, Reason
from components.collect.shapes.reading import Reading
from components.collect.shapes.shape import Draft, Fields, Shape, text
from components.shared.rows import Message, Role

ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def recognises(fields: Fields) -> bool:
    """Whether the record holds a list of messages with roles."""
    turns = fields.get("messages")
    return isinstance(turns, list) and all(isinstance(turn, dict) and "role" in turn for turn in turns)


def read(fields: Fields, reading: Reading) -> Iterator[Draft]:
    """Read one conversation."""
    turns = require_turns(fields, "messages")
    yield from_turns([Message(role=role_of(turn, "role", ROLES), content=_content(turn)) for turn in turns], reading)


def require_turns(fields: Fields, name: str) -> list[dict[str, Any]]:
    """The list of turns under a name. Raises BadRowError."""
    if name not in fields:
        text(fields, name)
    turns = fields[name]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise BadRowError(Reason.wrong_type, f"{name!r} is {type(turns).__name__}, a list of objects is wanted")
    return turns


def role_of(turn: dict[str, Any], name: str, roles: dict[str, Role]) -> Role:
    """Whose turn it is. Raises BadRowError for a role that is not known, such as a tool's."""
    role = text(turn, name)
    if role not in roles:
        raise BadRowError(Reason.wrong_turns, f"role {role!r} is none of {', '.join(roles)}")
    return roles[role]


def from_turns(turns: list[Message], reading: Reading) -> Draft:
    """The last exchange of a conversation as a row.

    Raises:
        BadRowError: turns do not alternate user, assistant, … after an optional system message, one is empty, or the
            last is not the assistant's though the source requires a response.
    """
    system = turns[0].content if turns and turns[0].role == "system" else ""
    talk = turns[1:] if turns and turns[0].role == "system" else turns
    if not talk:
        raise BadRowError(Reason.missing_field, "no message of a user")
    wanted = ("user", "assistant")
    if any(turn.role != wanted[place % 2] for place, turn in enumerate(talk)):
        order = ", ".join(turn.role for turn in turns)
        raise BadRowError(Reason.wrong_turns, f"{order}: user and assistant must take turns, the user first")
    if len(talk) % 2:
        if reading.response_required:
            raise BadRowError(Reason.missing_field, "the conversation does not end with the assistant's message")
        talk = [*talk, Message(role="assistant", content="")]
    *history, asked, answered = talk
    if not all(turn.content.strip() for turn in history):
        raise BadRowError(Reason.wrong_turns, "an earlier message is empty")
    return Draft(asked.content, answered.content, system, tuple(history))


def _content(turn: dict[str, Any]) -> str:
    """A message's text; a list of text parts is joined."""
    content = turn.get("content")
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return "".join(text(part, "text") for part in content)
    return text(turn, "content")


SHAPE = Shape("messages", recognises, read)
