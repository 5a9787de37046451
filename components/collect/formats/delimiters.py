"""What parts the fields of a delimited file: by Excel's line `sep=;`, or by its header."""

import csv
import re

SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)
DELIMITERS = (",", "\t", ";", "|")


def named_delimiter(line: str) -> str | None:
    """The delimiter that a line of Excel's names: `sep=;`; None for any other line."""
    found = SEPARATOR_LINE.fullmatch(line)
    return found[1] if found else None


def delimiter_of(header: str, expected: str) -> str:
    """What parts a header's fields: the expected delimiter, unless only another one parts it in two or more.

    Args:
        header: the file's first line.
        expected: what the format's suffix means.
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
