"""The face of a row shape, and how shapes read fields."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.collect.records import BadRowError, Reason
from components.collect.shapes.reading import Reading
from components.shared.rows import Check, Message

Fields = Mapping[str, Any]
SHOWN = 12
SYSTEM = ("system", "system_prompt")


@dataclass(frozen=True)
class Draft:
    """What a shape reads from a record: an instruction before it is checked and numbered.

    `ignored` names fields within the record's lists that say something and are not read, as `messages[].name`.
    """

    instruction: str
    response: str
    system: str = ""
    history: tuple[Message, ...] = ()
    check: Check | None = None
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Shape:
    """How a record becomes instructions.

    `recognises` says from a record's fields whether it has this shape (they need not be right). `read` yields its
    instructions, mostly one; it raises BadRowError when the record is not right. `fields` are the names it reads.
    """

    name: str
    recognises: Callable[[Fields], bool]
    read: Callable[[Fields, Reading], Iterator[Draft]]
    fields: frozenset[str]


def first_present(fields: Fields, names: tuple[str, ...]) -> str | None:
    """The first of the names that the record has."""
    return next((name for name in names if name in fields), None)


def text(fields: Fields, *names: str) -> str:
    """The text under the first of the names that is present. Raises BadRowError: none is, or it is no text."""
    for name in names:
        if name in fields:
            value = fields[name]
            if isinstance(value, str):
                return value
            if value is not None:
                raise BadRowError(Reason.wrong_type, f"{name!r} is {type(value).__name__}, a text is wanted")
            break
    has = ", ".join(list(fields)[:SHOWN])
    raise BadRowError(Reason.missing_field, f"lacks {' or '.join(map(repr, names))}; has {has or 'nothing'}")


def present(fields: Fields, name: str) -> Any:
    """The value under a name. Raises BadRowError when it is absent or null."""
    return text(fields, name) if fields.get(name) is None else fields[name]


def system_of(fields: Fields) -> str:
    """The system prompt beside a row, empty where there is none. Raises BadRowError when it is no text."""
    for name in SYSTEM:
        if fields.get(name):
            return text(fields, name)
    return ""


def reply(fields: Fields, reading: Reading, *names: str) -> str:
    """The response's text; empty where it is absent and the source does not require one."""
    if not reading.response_required and all(fields.get(name) is None for name in names):
        return ""
    return text(fields, *names)


def joined(instruction: str, given: str, reading: Reading) -> str:
    """An instruction with the input it is about."""
    return f"{instruction}{reading.input_separator}{given}" if given.strip() else instruction


def require_instruction(instruction: str) -> str:
    """The instruction. Raises BadRowError when it is empty or only space."""
    if not instruction.strip():
        raise BadRowError(Reason.empty_instruction)
    return instruction
