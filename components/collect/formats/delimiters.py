"""The delimiter of a file: from Excel's line `sep=;`, or from its header."""

import csv
import re

SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)
DELIMITERS = (",", "\t", ";", "|")


def named_delimiter(line: str) -> str | None:
    """The delimiter in Excel's line `sep=;`; None for any other line."""
    found = SEPARATOR_LINE.fullmatch(line)
    return found[1] if found else None


def delimiter_of(header: str, expected: str) -> str:
    """A header's delimiter: the expected one, unless only another one splits it into two fields or more.

    Args:
        header: the file's first line.
        expected: the delimiter of the file's format.
    """
    columns = {delimiter: _columns(header, delimiter) for delimiter in (expected, *DELIMITERS)}
    if columns[expected] > 1:
        return expected
    return max(columns, key=lambda delimiter: columns[delimiter])


def _columns(header: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([header], delimiter=delimiter, strict=True), []))
    except csv.Error:
        return 0
