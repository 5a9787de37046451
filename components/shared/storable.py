"""Text that every store, file and log can hold.

JSON may escape half of a UTF-16 pair (RFC 8259, 8.2), which Python reads as a lone surrogate and no UTF-8 can hold; and
U+0000, which ends a string for whoever reads it as C does.
"""

import re
from typing import Any

REPLACEMENT = "\ufffd"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with each lone surrogate and each NUL replaced by U+FFFD; two halves of one pair are put together."""
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
