"""Hides strings of row text from a chat template: each is replaced by one private-use character."""

import re

FIRST, LAST = 0x100000, 0x107FFE
"""Code points of the private-use area B (Unicode 23.5): no template uses one, and none is white space."""

SENTINEL = "\U00107fff"
"""Replaces the answer, to find out what a template writes around one."""

_RESERVED = re.compile("[\U00100000-\U0010ffff]")


class Placeholders:
    """The hidden strings of one conversation. A template cannot split, trim or search a hidden string.

    Private-use characters of the text itself are hidden too, so that every placeholder is from here.
    """

    def __init__(self) -> None:
        self._by_string: dict[str, str] = {}

    def hide(self, text: str, pattern: re.Pattern[str]) -> str:
        """The text with all matches of the pattern hidden. Raises ValueError where there are too few placeholders."""
        return pattern.sub(self._hidden, _RESERVED.sub(self._hidden, text))

    def show(self, text: str) -> str:
        """The text with all hidden strings restored."""
        if not self._by_string:
            return text
        strings = {placeholder: string for string, placeholder in self._by_string.items()}
        return _RESERVED.sub(lambda found: strings.get(found[0], found[0]), text)

    def holds_from(self, code_point: int) -> bool:
        """Whether a character at or above a code point is hidden."""
        return any(ord(string) >= code_point for string in self._by_string if len(string) == 1)

    def _hidden(self, found: re.Match[str]) -> str:
        number = FIRST + len(self._by_string)
        if number > LAST and found[0] not in self._by_string:
            raise ValueError("it contains more private-use characters than there are placeholders")
        return self._by_string.setdefault(found[0], chr(number))
