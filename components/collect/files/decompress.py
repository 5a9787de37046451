"""Streams of compressed bytes as streams of what they hold, with bounded memory."""

import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from components.collect.files.streams import PIECE

GZIP = 31
"""zlib's `wbits` for a stream with a gzip header."""


class UnpackError(Exception):
    """A compressed stream is damaged or truncated."""


class Decompressor(Protocol):
    """Decompresses one member of a stream: the classes of bz2 and lzma, and `GzipDecompressor`."""

    @property
    def eof(self) -> bool:
        """Whether the member's end was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether more input is needed for more output."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Bytes after the member's end."""
        ...

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """At most `max_length` decompressed bytes."""
        ...


class GzipDecompressor:
    """zlib's decompressor with the interface of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(GZIP)

    @property
    def eof(self) -> bool:
        """Whether the member's end was reached."""
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        """Whether more input is needed for more output."""
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """Bytes after the member's end."""
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """At most `max_length` decompressed bytes."""
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def unpack_members(new: Callable[[], Decompressor], chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress one or more members, at most PIECE bytes at a time; zero bytes between and after them are padding.

    Raises:
        UnpackError: the stream is damaged or truncated.
    """
    member, fed = new(), False
    for chunk in chunks:
        waiting = chunk
        while waiting or not (member.eof or member.needs_input):
            if member.eof:
                member, fed = new(), False
            if not fed and not (waiting := waiting.lstrip(b"\0")):
                break
            try:
                piece = member.decompress(waiting, PIECE)
            except (zlib.error, OSError, lzma.LZMAError) as error:
                raise UnpackError(str(error)) from error
            fed, waiting = True, member.unused_data if member.eof else b""
            if piece:
                yield piece
    if fed and not member.eof:
        raise UnpackError("it is truncated")


def unpack_zstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress a zstd stream of one or more frames. Raises UnpackError."""
    import pyarrow

    try:
        with pyarrow.CompressedInputStream(pyarrow.PythonFile(_readable(chunks), "r"), "zstd") as stream:
            while piece := stream.read(PIECE):
                yield piece
    except pyarrow.ArrowException as error:
        raise UnpackError(str(error)) from error
    except OSError as error:
        hint = "; its window is larger than 128 MiB: compress it again without --long"
        raise UnpackError(str(error) + (hint if "too much memory" in str(error) else "")) from error


def _readable(chunks: Iterator[bytes]) -> io.BufferedReader:
    """Chunks as a file."""

    class Chunks(io.RawIOBase):
        rest = b""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
            self.rest = self.rest or next(chunks, b"")
            taken = self.rest[: len(buffer)]
            buffer[: len(taken)] = taken
            self.rest = self.rest[len(taken) :]
            return len(taken)

    return io.BufferedReader(Chunks(), PIECE)
