"""Rows of a prompt and its response (or completion): texts, or lists of messages as trl has them.

https://huggingface.co/docs/trl/dataset_formats
"""

from collections.abc import Iterator
from typing import Any

from components.collect.shapes.history import history_of
from components.collect.shapes.shape import (
    SYSTEM,
    Draft,
    RecordFields,
    Shape,
    ShapeSettings,
    first_present,
    reply,
    system_of,
    text,
)
from components.collect.shapes.turns import is_conversation, read_conversation, turns_of

RESPONSES = ("response", "completion")


def recognises(fields: RecordFields) -> bool:
    """Whether the record has a prompt and a response."""
    return "prompt" in fields and first_present(fields, RESPONSES) is not None


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one row."""
    name = first_present(fields, RESPONSES) or RESPONSES[0]
    if is_conversation(fields.get("prompt")) or is_conversation(fields.get(name)):
        turns = _turns(fields, "prompt", "user") + (_turns(fields, name, "assistant") if fields.get(name) else [])
        yield read_conversation(turns, system_of(fields), reading, "messages")
        return
    yield Draft(text(fields, "prompt"), reply(fields, reading, *RESPONSES), system_of(fields), history_of(fields))


def _turns(fields: RecordFields, name: str, role: str) -> list[dict[str, Any]]:
    """The turns under a name; a plain text is one of the role's."""
    if is_conversation(fields.get(name)):
        return turns_of(fields[name], name)
    return [{"role": role, "content": text(fields, name)}]


SHAPE = Shape("prompt_response", recognises, read, frozenset({"prompt", *RESPONSES, *SYSTEM, "history"}))
