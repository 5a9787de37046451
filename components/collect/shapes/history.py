"""Earlier exchanges beside an instruction: LLaMA-Factory's `history`, pairs of a question and its answer, or turns."""

from typing import Any

from components.collect.files.records import BadRowError, Rejection
from components.collect.shapes.beyond_text import is_empty
from components.collect.shapes.shape import RecordFields
from components.collect.shapes.turns import SPEAKER, decoded, is_conversation, message_of, turns_of
from components.shared.rows import Message

PAIRS = (
    ("user", "assistant"),
    ("human", "assistant"),
    ("prompt", "response"),
    ("query", "response"),
    ("question", "answer"),
    ("instruction", "output"),
    ("input", "output"),
)
"""Names under which a pair is written as an object."""


def history_of(fields: RecordFields) -> tuple[Message, ...]:
    """The earlier exchanges, oldest first. Raises BadRowError when they are incomplete."""
    if fields.get("history") is None:
        return ()
    value = decoded(fields["history"], "history")
    if is_empty(value):
        return ()
    if is_conversation(value):
        turns = [message_of(turn) for turn in turns_of(value, "history")]
    elif isinstance(value, list):
        turns = [message for exchange in value for message in _exchange(exchange)]
    else:
        raise BadRowError(Rejection.wrong_type, f"'history' is {type(value).__name__}, expected a list of exchanges")
    wanted = ("user", "assistant")
    if len(turns) % 2 or any(turn.role != wanted[place % 2] for place, turn in enumerate(turns)):
        order = ", ".join(turn.role for turn in turns)
        raise BadRowError(Rejection.wrong_turns, f"history is {order}: user and assistant must alternate")
    if not all(turn.content.strip() for turn in turns):
        raise BadRowError(Rejection.wrong_turns, "an earlier message is empty")
    return tuple(turns)


def _exchange(value: Any) -> tuple[Message, Message]:
    """One question and its answer."""
    pair = value
    if isinstance(value, dict) and not any(name in value for name in SPEAKER):
        pair = next(([value[asked], value[told]] for asked, told in PAIRS if asked in value and told in value), None)
    if not (isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
        raise BadRowError(Rejection.wrong_turns, f"{value!r} in 'history' is not a pair of a question and its answer")
    return Message(role="user", content=pair[0]), Message(role="assistant", content=pair[1])
