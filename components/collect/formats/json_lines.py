"""JSON lines: one object on each line. A record's number is its line; blank lines are passed over."""

from collections.abc import Iterator

from components.collect.records import Found, oversize, parse_object
from components.collect.streams import split_lines


def read_lines(chunks: Iterator[bytes], limit: int) -> Found:
    """Stream the records of JSON lines that come as chunks."""
    for number, line in enumerate(split_lines(chunks, limit), start=1):
        if line is None:
            yield oversize(number, limit)
        elif line.strip():
            yield parse_object(number, line)
