"""Fields that make a row more than its text: images, tools, and flags that exclude a message from the loss.

A student that is trained on the text alone would learn something wrong from such a row, so it is rejected.
"""

from collections.abc import Mapping
from typing import Any

from components.collect.files.records import BadRowError, Rejection

MEDIA = frozenset({"image", "images", "video", "videos", "audio", "audios"})
TOOLS = frozenset({"tools", "tool_calls", "functions", "function_call"})
BEYOND = MEDIA | TOOLS
PLACEHOLDERS = ("<image>", "<video>", "<audio>")
EMPTY_TEXTS = frozenset({"", "[]", "{}", "null", "none"})
TRAINED = frozenset({"loss", "train", "training", "trainable"})
"""Flags (OpenAI, Axolotl, ms-swift) of a message that is trained on unless they are false."""
MASKED = frozenset({"mask", "masked"})
WEIGHT = "weight"


def is_empty(value: Any) -> bool:
    """Whether a field is empty: null, an empty text or list, also as JSON, or a list of only such values."""
    waiting = [value]
    while waiting:  # not recursive: a file may nest deeper than Python's stack
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple)):
            waiting.extend(item)
        elif item is not None and not (isinstance(item, str) and item.strip().lower() in EMPTY_TEXTS):
            return False
    return True


def require_text_alone(fields: Mapping[str, Any], what: str) -> None:
    """Raises BadRowError for fields with images, sound or tools."""
    if BEYOND.isdisjoint(fields):
        return
    for name in BEYOND.intersection(fields):
        if not is_empty(fields[name]):
            if name in TOOLS:
                raise BadRowError(Rejection.needs_tools, f"{what} has {name!r}, but training is on text only")
            raise BadRowError(Rejection.needs_media, f"{what} has {name!r}, but training is on text only")


def require_no_placeholder(texts: list[str]) -> None:
    """Raises BadRowError for a text with a placeholder of an image, a video or sound."""
    for placeholder in PLACEHOLDERS:
        if any(placeholder in part for part in texts):
            raise BadRowError(Rejection.needs_media, f"the text has {placeholder}, but training is on text only")


def require_learnt(turn: Mapping[str, Any]) -> None:
    """Raises BadRowError for an answer that a flag excludes from training."""
    for name, value in turn.items():
        if (name == WEIGHT and _is(value, False)) or (name in TRAINED and _is(value, False)):
            raise BadRowError(Rejection.not_learnt, f"the answer has {name!r}: {value!r}")
        if name in MASKED and _is(value, True):
            raise BadRowError(Rejection.not_learnt, f"the answer has {name!r}: {value!r}")


def extra_fields(fields: Mapping[str, Any], read: frozenset[str]) -> list[str]:
    """Names of fields that have a value and are not read."""
    return [name for name in fields.keys() - read if not is_empty(fields[name])]


def says_nothing(name: str, value: Any) -> bool:
    """Whether a message's flag has no effect or was already applied: earlier messages are never trained on."""
    return name in TRAINED | MASKED or (name == WEIGHT and (_is(value, True) or _is(value, False)))


def _is(value: Any, wanted: bool) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ({"true", "1", "1.0"} if wanted else {"false", "0", "0.0"})
    return isinstance(value, (bool, int, float)) and value == wanted
