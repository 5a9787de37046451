"""Text that can be written to any store, file and log.

JSON may escape half of a UTF-16 pair (RFC 8259, 8.2), which Python reads as a lone surrogate and UTF-8 cannot encode;
and U+0000, which terminates a string in C.
"""

import re
from typing import Any

REPLACEMENT = "\ufffd"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with each lone surrogate and each NUL replaced by U+FFFD; the two halves of a pair are joined."""
    if not _UNSTORABLE.search(text):
        return text
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\x00", REPLACEMENT)


def storable_value(value: Any) -> Any:
    """The same for every text in plain values: lists, tuples, dicts and their keys."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable_value(key): storable_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable_value(item) for item in value]
    return value
