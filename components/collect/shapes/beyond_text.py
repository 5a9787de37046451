"""Fields that make a row another than its text says: images, tools, and marks of what is not to be learnt.

A student that is trained on text alone would learn from such a row what it does not say, so it is rejected by name.
"""

from collections.abc import Mapping
from typing import Any

from components.collect.records import BadRowError, Reason

MEDIA = frozenset({"image", "images", "video", "videos", "audio", "audios"})
TOOLS = frozenset({"tools", "tool_calls", "functions", "function_call"})
BEYOND = MEDIA | TOOLS
PLACEHOLDERS = ("<image>", "<video>", "<audio>")
EMPTY_TEXTS = frozenset({"", "[]", "{}", "null", "none"})
TRAINED = frozenset({"loss", "train", "training", "trainable"})
"""Marks of a message (OpenAI, Axolotl, ms-swift) that is learnt unless they are false."""
MASKED = frozenset({"mask", "masked"})
WEIGHT = "weight"


def is_empty(value: Any) -> bool:
    """Whether a field says nothing: null, an empty text or list, also as JSON, or only such values inside."""
    waiting = [value]
    while waiting:  # no recursion: a file may nest deeper than Python's stack
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple)):
            waiting.extend(item)
        elif item is not None and not (isinstance(item, str) and item.strip().lower() in EMPTY_TEXTS):
            return False
    return True


def require_text_alone(fields: Mapping[str, Any], what: str) -> None:
    """Refuse what holds images, sound, or tools. Raises BadRowError."""
    if BEYOND.isdisjoint(fields):
        return
    for name in BEYOND.intersection(fields):
        if not is_empty(fields[name]):
            if name in TOOLS:
                raise BadRowError(Reason.needs_tools, f"{what} has {name!r}, and only text is learnt")
            raise BadRowError(Reason.needs_media, f"{what} has {name!r}, and only text is learnt")


def require_no_placeholder(texts: list[str]) -> None:
    """Refuse texts with a placeholder for an image that its field does not hold. Raises BadRowError."""
    for placeholder in PLACEHOLDERS:
        if any(placeholder in part for part in texts):
            raise BadRowError(Reason.needs_media, f"the text has {placeholder}, and only text is learnt")


def require_learnt(turn: Mapping[str, Any]) -> None:
    """Refuse an answer that is marked as not to be learnt. Raises BadRowError."""
    for name, value in turn.items():
        if (name == WEIGHT and _is(value, False)) or (name in TRAINED and _is(value, False)):
            raise BadRowError(Reason.not_learnt, f"the answer has {name!r}: {value!r}")
        if name in MASKED and _is(value, True):
            raise BadRowError(Reason.not_learnt, f"the answer has {name!r}: {value!r}")


def extra_fields(fields: Mapping[str, Any], read: frozenset[str]) -> list[str]:
    """Names of fields that say something and that nothing reads."""
    return [name for name in fields.keys() - read if not is_empty(fields[name])]


def says_nothing(name: str, value: Any) -> bool:
    """Whether a message's mark says what holds anyway, or was heeded: earlier messages are never learnt."""
    return name in TRAINED | MASKED or (name == WEIGHT and (_is(value, True) or _is(value, False)))


def _is(value: Any, wanted: bool) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ({"true", "1", "1.0"} if wanted else {"false", "0", "0.0"})
    return isinstance(value, (bool, int, float)) and value == wanted
