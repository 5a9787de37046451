"""Bytes as streams, split into lines with bounded memory."""

import itertools
from collections.abc import Iterator

PIECE = 1 << 20
BOM = b"\xef\xbb\xbf"


def peek(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The stream's first bytes, `size` or more where there are so many, and the complete stream again."""
    head: list[bytes] = []
    held = 0
    while held < size and (chunk := next(chunks, None)) is not None:
        head.append(chunk)
        held += len(chunk)
    return b"".join(head), itertools.chain(head, chunks)


def split_lines(chunks: Iterator[bytes], limit: int) -> Iterator[bytes | None]:
    """Lines without their end and without a byte order mark; None stands for a line of more than `limit` bytes."""
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
