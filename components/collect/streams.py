"""Bytes as streams: unpacked and split into lines with bounded memory."""

import zlib
from collections.abc import Iterator

PIECE = 1 << 20
GZIP = 31
"""zlib's `wbits` for a stream with a gzip header."""
BOM = b"\xef\xbb\xbf"


class UnpackError(Exception):
    """A gzip stream is damaged or ends too early."""


def unpack_gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress a gzip stream of one or more members, at most PIECE bytes at a time.

    Raises:
        UnpackError: the stream is damaged or ends too early.
    """
    member = zlib.decompressobj(GZIP)
    fed = False
    for chunk in chunks:
        waiting = chunk
        while waiting:
            if member.eof:
                member, fed = zlib.decompressobj(GZIP), False
            try:
                piece = member.decompress(waiting, PIECE)
            except zlib.error as error:
                raise UnpackError(str(error)) from error
            fed = True
            if piece:
                yield piece
            waiting = member.unused_data or member.unconsumed_tail
    if fed and not member.eof:
        raise UnpackError("it ends too early")


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
