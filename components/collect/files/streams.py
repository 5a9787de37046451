"""Streams of bytes: look ahead, and split into lines with bounded memory."""

import itertools
from collections.abc import Iterator

PIECE = 1 << 20
BOM = b"\xef\xbb\xbf"


def peek(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The stream's first bytes (at least `size` unless it is shorter), and the complete stream."""
    head: list[bytes] = []
    held = 0
    while held < size and (chunk := next(chunks, None)) is not None:
        head.append(chunk)
        held += len(chunk)
    return b"".join(head), itertools.chain(head, chunks)


def split_lines(chunks: Iterator[bytes], limit: int) -> Iterator[bytes | None]:
    """Lines without line ends and byte order mark; None for a line of more than `limit` bytes."""
    rest, skipping, first = b"", False, True
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield None if skipping or len(line) > limit else line.removeprefix(BOM) if first else line
            skipping = first = False
        if len(rest) > limit:
            rest, skipping = b"", True
    if skipping:
        yield None
    elif rest:
        yield rest.removeprefix(BOM) if first else rest
