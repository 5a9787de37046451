"""Turns of a conversation: parse them from a field, and make a row of the last exchange."""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from components.collect.files.records import BadRowError, Rejection
from components.collect.shapes.beyond_text import extra_fields, require_learnt, require_text_alone, says_nothing
from components.collect.shapes.shape import Draft, ShapeSettings, text
from components.shared.rows import Message, Role

TurnFields = Mapping[str, Any]

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
SPEAKER, SAYING = ("role", "from"), ("content", "value")
OF_A_TURN = frozenset((*SPEAKER, *SAYING))
TRANSCRIPT = re.compile(r"\s*Human:.*\n\nAssistant:", re.DOTALL)
SPEECH = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
"""The beginning of a turn in a transcript of HH-RLHF (Bai and others, arXiv 2204.05862)."""


def looks_like_turns(value: Any, *speakers: str) -> bool:
    """Whether `turns_of` reads the value, and its turns have one of the fields for the speaker."""
    if isinstance(value, list):
        return all(_says_who(turn, speakers) or _may_be_json(turn, "{") for turn in value)
    if isinstance(value, dict):
        return any(isinstance(value.get(speaker), list) for speaker in speakers)
    return _may_be_json(value, "[")


def is_conversation(value: Any) -> bool:
    """Whether a field that usually holds plain text holds a conversation: a list of turns, or its JSON."""
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return False
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return False
    return looks_like_turns(value, *SPEAKER) and not isinstance(value, str) and bool(value)


def turns_of(value: Any, name: str) -> list[dict[str, Any]]:
    """A conversation's turns: a list of objects, also as text (JSON, or a Python literal) or as an object of lists.

    Raises:
        BadRowError: it has none of these forms.
    """
    turns = decoded(value, name)
    if isinstance(turns, dict) and turns and all(isinstance(column, list) for column in turns.values()):
        turns = _rows_of(turns, name)
    if isinstance(turns, list):
        turns = [decoded(turn, name) if _may_be_json(turn, "{") else turn for turn in turns]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise BadRowError(Rejection.wrong_type, f"{name!r} is {type(turns).__name__}, expected a list of objects")
    return turns


def transcript_turns(text: str) -> list[dict[str, Any]] | None:
    """The turns of a transcript, without an empty last one that awaits the answer; None for any other text."""
    if not TRANSCRIPT.match(text):
        return None
    _, *parts = SPEECH.split(text.strip())
    said = zip(parts[::2], parts[1::2], strict=True)
    turns = [{"role": speaker.lower(), "content": content.strip()} for speaker, content in said]
    return turns if turns[-1]["content"] else turns[:-1]


def decoded(value: Any, name: str) -> Any:
    """A value that may be encoded as text: JSON, or a Python literal. Raises BadRowError."""
    if not (_may_be_json(value, "[") or _may_be_json(value, "{")):
        return value
    try:
        return json.loads(value)
    except RecursionError as error:
        raise BadRowError(Rejection.broken_json, f"{name!r} is nested too deeply") from error
    except ValueError as error:
        reason = str(error)
    try:
        # A list that pandas or str() wrote: single quotes, and None for null. literal_eval runs no code.
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise BadRowError(Rejection.broken_json, f"{name!r} is text that is not valid JSON: {reason}") from None


def message_of(turn: TurnFields, roles: Mapping[str, Role] = ROLES) -> Message:
    """A turn as a message. Raises BadRowError: its role is unknown, or it holds more than text."""
    require_text_alone(turn, "the message")
    speaker = next((name for name in SPEAKER if turn.get(name) is not None), SPEAKER[0])
    return Message(role=role_of(turn, speaker, roles), content=_content(turn))


def role_of(turn: TurnFields, name: str, roles: Mapping[str, Role]) -> Role:
    """The role of a turn. Raises BadRowError for an unknown one, such as a tool's."""
    role = text(turn, name)
    if role not in roles:
        raise BadRowError(Rejection.wrong_turns, f"role {role!r} is not one of {', '.join(roles)}")
    return roles[role]


def read_conversation(turns: list[dict[str, Any]], system: str, reading: ShapeSettings, name: str) -> Draft:
    """The last exchange of a conversation as a row; a system prompt beside it is used if it contains none.

    Raises:
        BadRowError: a turn holds more than text, or a flag excludes the last one from training; or as `from_turns`.
    """
    messages = [message_of(turn) for turn in turns]
    if turns:
        require_learnt(turns[-1])
    inside = bool(messages) and messages[0].role == "system"
    if system and not inside:
        messages.insert(0, Message(role="system", content=system))
    return replace(from_turns(messages, reading), ignored=_ignored(turns, name))


def from_turns(turns: list[Message], reading: ShapeSettings) -> Draft:
    """The last exchange of a conversation as a row.

    Raises:
        BadRowError: turns do not alternate user, assistant, … after an optional system message, one is empty, or the
            last is not the assistant's though the source requires a response.
    """
    system = turns[0].content if turns and turns[0].role == "system" else ""
    talk = turns[1:] if turns and turns[0].role == "system" else turns
    if not talk:
        raise BadRowError(Rejection.missing_field, "no message of a user")
    wanted = ("user", "assistant")
    if any(turn.role != wanted[place % 2] for place, turn in enumerate(talk)):
        order = ", ".join(turn.role for turn in turns)
        raise BadRowError(Rejection.wrong_turns, f"{order}: user and assistant must alternate, starting with the user")
    if len(talk) % 2:
        if reading.response_required:
            raise BadRowError(Rejection.missing_field, "the conversation does not end with the assistant's message")
        talk = [*talk, Message(role="assistant", content="")]
    *history, asked, answered = talk
    if not all(turn.content.strip() for turn in history):
        raise BadRowError(Rejection.wrong_turns, "an earlier message is empty")
    return Draft(asked.content, answered.content, system, tuple(history))


def _ignored(turns: list[dict[str, Any]], name: str) -> frozenset[str]:
    """Fields of the turns that have a value and are not read."""
    return frozenset(
        f"{name}[].{extra}"
        for turn in turns
        if len(turn) > 2  # more than who speaks and what
        for extra in extra_fields(turn, OF_A_TURN)
        if not says_nothing(extra, turn[extra])
    )


def _says_who(turn: Any, speakers: tuple[str, ...]) -> bool:
    return isinstance(turn, dict) and any(speaker in turn for speaker in speakers)


def _may_be_json(value: Any, opening: str) -> bool:
    return isinstance(value, str) and value.lstrip().startswith(opening)


def _rows_of(columns: dict[str, list[Any]], name: str) -> list[dict[str, Any]]:
    """Rows of an object of lists, as Parquet files have it that `datasets` wrote from a sequence of objects."""
    if len({len(column) for column in columns.values()}) != 1:
        sizes = ", ".join(f"{len(column)} {field}" for field, column in columns.items())
        raise BadRowError(Rejection.wrong_turns, f"{name!r} has lists of different lengths: {sizes}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _content(turn: TurnFields) -> str:
    """A message's text; a list of text parts is joined."""
    content = turn.get("content")
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        kinds = sorted({str(part.get("type")) for part in content} - {"text"})
        if kinds:
            raise BadRowError(Rejection.wrong_type, f"'content' has parts that are not text: {', '.join(kinds)}")
        return "".join(text(part, "text") for part in content)
    return text(turn, *SAYING) if content is None and "value" in turn else text(turn, SAYING[0])
