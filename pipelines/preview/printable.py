"""Text of data sets and models, made fit to be shown: it may hold control characters that a terminal acts upon."""

import unicodedata

from rich.cells import cell_len, chop_cells

from components.shared.storable import REPLACEMENT

HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Categories of Unicode that are not shown: controls and escapes, marks that change the direction, surrogates."""
JOINERS = "\u200c\u200d"
"""Of the hidden ones, those that scripts and emoji are written with."""


def printable(text: str, keep: str = "\n\t") -> str:
    """The text with every character that is not shown replaced by U+FFFD, except those to keep.

    Line ends become `\\n`.
    """
    lines = text.replace("\r\n", "\n")
    return "".join(char if _is_shown(char, keep) else REPLACEMENT for char in lines)


def one_line(text: str, width: int) -> str:
    """The text on one line of at most this many columns of a terminal; what is left out is counted at its end."""
    line = " ".join(printable(text).split())
    if cell_len(line) <= width:
        return line
    kept = chop_cells(line, max(width - len(f" … +{len(line):,} characters"), 2))[0]
    return f"{kept} … +{len(line) - len(kept):,} characters"


def _is_shown(char: str, keep: str) -> bool:
    return char in keep or char in JOINERS or unicodedata.category(char) not in HIDDEN
