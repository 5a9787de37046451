"""What a row shape is, and how shapes read fields."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from components.collect.files.records import BadRowError, Rejection
from components.shared.rows import Check, Message
from components.shared.settings import Settings

RecordFields = Mapping[str, Any]
SHOWN = 12
SYSTEM = ("system", "system_prompt")


LINES = "{lines}"


class ContinuationSettings(Settings):
    """What is asked about a text of which the beginning is given."""

    given_lines: int = Field(
        3, ge=1, description="lines that are given, without blank ones (3: as in CS224N's sonnets)"
    )
    prompt: str = Field(
        f"Continue this text:\n\n{LINES}", description=f"what is asked, with {LINES} in it: the lines that are given"
    )

    def ask(self, beginning: str) -> str:
        """The instruction for a text that begins so; other braces have no meaning."""
        return self.prompt.replace(LINES, beginning)

    @field_validator("prompt")
    @classmethod
    def _has_place(cls, prompt: str) -> str:
        if prompt.count(LINES) != 1:
            raise ValueError(f"prompt must contain {LINES} exactly once")
        return prompt


class ShapeSettings(Settings):
    """The part of a source's settings that shapes read."""

    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"continuation"})

    response_required: bool = Field(
        True, description="reject rows without a response; false: keep them, for the teacher to answer"
    )
    input_separator: str = Field(
        "\n", description="text between an instruction and its input (a line break in LLaMA-Factory)"
    )
    labels: Literal["read", "ignored"] = Field(
        "read",
        description="read: labels of responses (label, kto_tag, thumbs: true or false), and which of two is preferred "
        "(chosen, rejected), become evidence for select",
    )
    calculator: Literal["removed", "kept"] = Field(
        "removed", description="calculator annotations <<48/2=24>> in GSM8K answers"
    )
    continuation: ContinuationSettings = Field(
        ContinuationSettings(), description="shape continuation only: how a text is asked for"
    )


@dataclass(frozen=True)
class Draft:
    """What a shape reads from a record: an instruction before it is checked and numbered.

    `rejected` is a second response, to which `response` is preferred; empty without one.
    `ignored` lists fields within the record's lists that have a value and are not read, such as `messages[].name`.
    """

    instruction: str
    response: str
    system: str = ""
    history: tuple[Message, ...] = ()
    check: Check | None = None
    rejected: str = ""
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Shape:
    """How a record becomes instructions.

    `recognises` decides by a record's fields whether it has this shape (their values may be wrong). `read` yields its
    instructions, usually one, and raises BadRowError for a bad record. `fields` are the names that it reads, and
    `has_check` says that its rows come with a check of their answers.
    """

    name: str
    recognises: Callable[[RecordFields], bool]
    read: Callable[[RecordFields, ShapeSettings], Iterator[Draft]]
    fields: frozenset[str]
    has_check: bool = False


def first_present(fields: RecordFields, names: tuple[str, ...]) -> str | None:
    """The first of the names that the record has."""
    return next((name for name in names if name in fields), None)


def text(fields: RecordFields, *names: str) -> str:
    """The text of the first of the fields that is present. Raises BadRowError if none is, or if it is not text."""
    for name in names:
        if name in fields:
            value = fields[name]
            if isinstance(value, str):
                return value
            if value is not None:
                raise BadRowError(Rejection.wrong_type, f"{name!r} is {type(value).__name__}, expected text")
            break
    has = ", ".join(list(fields)[:SHOWN])
    raise BadRowError(Rejection.missing_field, f"lacks {' or '.join(map(repr, names))}; has {has or 'nothing'}")


def present(fields: RecordFields, name: str) -> Any:
    """The value of a field. Raises BadRowError when it is missing or null."""
    return text(fields, name) if fields.get(name) is None else fields[name]


def system_of(fields: RecordFields) -> str:
    """The system prompt beside a row, empty without one. Raises BadRowError when it is not text."""
    for name in SYSTEM:
        if fields.get(name):
            return text(fields, name)
    return ""


def reply(fields: RecordFields, reading: ShapeSettings, *names: str) -> str:
    """The response's text; empty if it is missing and the source does not require one."""
    if not reading.response_required and all(fields.get(name) is None for name in names):
        return ""
    return text(fields, *names)


def joined(instruction: str, given: str, reading: ShapeSettings) -> str:
    """An instruction followed by its input, if any."""
    return f"{instruction}{reading.input_separator}{given}" if given.strip() else instruction


def require_instruction(instruction: str) -> str:
    """The instruction. Raises BadRowError when it is empty or only white space."""
    if not instruction.strip():
        raise BadRowError(Rejection.empty_instruction)
    return instruction
