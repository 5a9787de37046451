"""Preferences: two responses to one prompt, of which `chosen` is preferred to `rejected`; texts, or lists of messages.

The prompt has a field of its own, or both responses are complete conversations, and what they begin with alike is the
prompt (trl's implicit prompt). Of texts without a prompt's field that is the common beginning, to the end of a word.
https://huggingface.co/docs/trl/dataset_formats#preference
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from components.collect.files.records import BadRowError, Rejection
from components.collect.shapes.beyond_text import require_learnt
from components.collect.shapes.history import history_of
from components.collect.shapes.shape import SYSTEM, Draft, RecordFields, Shape, ShapeSettings, joined, system_of, text
from components.collect.shapes.turns import (
    SPEAKER,
    is_conversation,
    message_of,
    read_conversation,
    transcript_turns,
    turns_of,
)
from components.shared.rows import Message

CHOSEN, REJECTED = "chosen", "rejected"
CONVERSATIONS = ("prompt", "conversations", "messages")
TEXTS = ("prompt", "question", "instruction", "input")
"""Fields of the prompt; an `input` beside an instruction follows it."""
PROMPTS = tuple(dict.fromkeys((*CONVERSATIONS, *TEXTS)))
Turns = list[dict[str, Any]]


def recognises(fields: RecordFields) -> bool:
    """Whether the record has a preferred and a rejected response."""
    return all(isinstance(fields.get(name), (str, list, dict)) for name in (CHOSEN, REJECTED))


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one preference: the preferred response is the row's, and the other one is beside it."""
    chosen, rejected = _responses(fields)
    used: tuple[str, ...] = ()
    if message_of(chosen[0]).role == "assistant":
        prompt, used = _prompt(fields, reading)
        chosen, rejected = [*prompt, *chosen], [*prompt, *rejected]
    draft = _draft(chosen, rejected, fields, reading)
    asked = [message_of(turn) for turn in chosen[:-1]]
    unread = {name for name in PROMPTS if name not in used and _says_more(fields.get(name), name, asked)}
    yield replace(draft, ignored=draft.ignored | unread)


def _draft(chosen: Turns, rejected: Turns, fields: RecordFields, reading: ShapeSettings) -> Draft:
    """The row of two conversations, which may differ only in their last message. Raises BadRowError."""
    first, second = ([message_of(turn) for turn in turns] for turns in (chosen, rejected))
    if first[:-1] != second[:-1] or first[-1].role != second[-1].role:
        raise BadRowError(Rejection.wrong_turns, "chosen and rejected differ before their last message, the response")
    require_learnt(rejected[-1])
    draft = replace(read_conversation(chosen, system_of(fields), reading, CHOSEN), rejected=second[-1].content)
    for name, response in ((CHOSEN, draft.response), (REJECTED, draft.rejected)):
        if not response.strip():
            raise BadRowError(Rejection.empty_response, f"{name!r} is empty")
    if draft.response.strip() == draft.rejected.strip():
        raise BadRowError(Rejection.equal_responses, "chosen and rejected have the same response")
    return draft


def _responses(fields: RecordFields) -> tuple[Turns, Turns]:
    """Both responses as turns: the assistant's alone, or complete conversations. Raises BadRowError."""
    chosen, rejected = (_turns(fields, name) for name in (CHOSEN, REJECTED))
    if chosen and rejected:
        return chosen, rejected
    if chosen is not None or rejected is not None:
        raise BadRowError(Rejection.wrong_type, "chosen and rejected are not both texts, nor both lists of messages")
    texts = [text(fields, name) for name in (CHOSEN, REJECTED)]
    first, second = (transcript_turns(one) for one in texts)
    if first and second:
        return first, second
    asked, *answers = ("", *texts) if _field_of_prompt(fields) else _split(*texts)
    before = [_turn("user", asked)] if asked else []
    return [*before, _turn("assistant", answers[0])], [*before, _turn("assistant", answers[1])]


def _turns(fields: RecordFields, name: str) -> Turns | None:
    """The turns of a response; None for a text."""
    value = fields[name]
    if isinstance(value, dict) and any(isinstance(value.get(speaker), str) for speaker in SPEAKER):
        return [value]
    return turns_of(value, name) if isinstance(value, (list, dict)) or is_conversation(value) else None


def _field_of_prompt(fields: RecordFields) -> str:
    """The field with the prompt; empty without one."""
    talk = next((name for name in CONVERSATIONS if is_conversation(fields.get(name))), "")
    return talk or next((name for name in TEXTS if fields.get(name) not in (None, "")), "")


def _prompt(fields: RecordFields, reading: ShapeSettings) -> tuple[Turns, tuple[str, ...]]:
    """The turns before the response, and the fields that hold them. Raises BadRowError."""
    name = _field_of_prompt(fields)
    if not name:
        raise BadRowError(Rejection.missing_field, f"lacks a prompt: {', '.join(map(repr, PROMPTS))}")
    if is_conversation(fields[name]):
        return turns_of(fields[name], name), (name,)
    used: tuple[str, ...] = (name,)
    asked = text(fields, name)
    if name == "instruction" and fields.get("input") is not None:
        used, asked = (name, "input"), joined(asked, text(fields, "input"), reading)
    earlier = [message.model_dump() for message in history_of(fields)]
    return transcript_turns(asked) or [*earlier, _turn("user", asked)], used


def _turn(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def _split(chosen: str, rejected: str) -> tuple[str, str, str]:
    """The common beginning of two texts to the end of a word, and what follows it in each. Raises BadRowError."""
    same = (one == other for one, other in zip(chosen, rejected, strict=False))
    end = next((place for place, equal in enumerate(same) if not equal), min(len(chosen), len(rejected)))
    while end and chosen[end - 1].isalnum() and any(side[end : end + 1].isalnum() for side in (chosen, rejected)):
        end -= 1
    asked = chosen[:end].strip()
    if not asked:
        names = ", ".join(map(repr, PROMPTS))
        raise BadRowError(
            Rejection.missing_field, f"lacks a prompt ({names}), and chosen and rejected begin differently"
        )
    return asked, chosen[end:].strip(), rejected[end:].strip()


def _says_more(value: Any, name: str, asked: list[Message]) -> bool:
    """Whether a field of the prompt has something that the conversation, which was read, lacks."""
    if value in (None, ""):
        return False
    turns = (
        turns_of(value, name) if is_conversation(value) else transcript_turns(value) if isinstance(value, str) else None
    )
    if turns is not None:
        return [message_of(turn) for turn in turns][: len(asked)] != asked
    return not isinstance(value, str) or value.strip() not in {message.content.strip() for message in asked}


SHAPE = Shape("preference", recognises, read, frozenset({CHOSEN, REJECTED, *PROMPTS, *SYSTEM, "history"}))
