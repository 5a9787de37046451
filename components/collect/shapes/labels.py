"""Labels of responses: rated as good or bad (rows for KTO, thumbs)."""

from collections.abc import Mapping
from typing import Any

from components.collect.files.records import BadRowError, Rejection

TAGS = ("kto_tag", "label", "desirable", "is_desirable")
"""Fields of trl (`label`) and LLaMA-Factory (`kto_tag`). 1 and 0 are true and false in them."""
THUMBS = ("thumbs", "thumb", "thumbs_up", "feedback", "liked")
"""Fields in which 1 and -1 are up and down; 0 means not rated."""
FIELDS = dict.fromkeys((*TAGS, *THUMBS)).keys()
TAG_WORDS = {
    **dict.fromkeys(("true", "1", "1.0", "desirable", "chosen"), True),
    **dict.fromkeys(("false", "0", "0.0", "undesirable", "rejected"), False),
}
THUMB_WORDS = {
    **dict.fromkeys(("true", "1", "up", "thumbs_up", "thumbs up", "thumbs-up", "👍", "good", "positive", "like"), True),
    **dict.fromkeys(
        ("false", "-1", "down", "thumbs_down", "thumbs down", "thumbs-down", "👎", "bad", "negative", "dislike"), False
    ),
}


def read_label(fields: Mapping[str, Any]) -> tuple[bool | None, frozenset[str]]:
    """Whether the row's response is labelled good (None without a label), and the fields with the label.

    Any other value, such as the name of a class, is not a label of the response.

    Raises:
        BadRowError: two fields contradict each other.
    """
    if FIELDS.isdisjoint(fields):
        return None, frozenset()
    given = {name: _label(name, fields[name]) for name in FIELDS if name in fields}
    found = {name: label for name, label in given.items() if label is not None}
    if len(set(found.values())) > 1:
        raise BadRowError(Rejection.contradictory_labels, ", ".join(f"{name}: {fields[name]!r}" for name in found))
    return next(iter(found.values()), None), frozenset(found)


def _label(name: str, value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    words = TAG_WORDS if name in TAGS else THUMB_WORDS
    if isinstance(value, str):
        return words.get(value.strip().lower())
    return words.get(str(int(value))) if isinstance(value, (int, float)) and value in {-1, 0, 1} else None
