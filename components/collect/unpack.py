"""Packed files (gzip, bzip2, xz, zstd) as streams of what is in them.

What a file is goes by its first bytes, not by its name: a file that was unpacked on its way and kept its `.gz`, or the
other way round, is read as what it is, and the log says so.
"""

import bz2
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from components.collect.streams import PIECE, peek
from components.shared.errors import InputError
from components.shared.log import say

GZIP = 31
"""zlib's `wbits` for a stream with a gzip header."""
HEAD = 512
"""Bytes that tell what a file is."""
TEXT = re.compile(rb"[\t\n\r\x20-\xff]*")


class UnpackError(Exception):
    """A packed stream is damaged or ends too early."""


class Member(Protocol):
    """One packed member of a stream: the decompressors of bz2, lzma, and `GzipMember`."""

    @property
    def eof(self) -> bool:
        """Whether the member's end was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without more bytes."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Bytes after the member's end."""
        ...

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """At most `max_length` bytes of what is packed."""
        ...


class GzipMember:
    """zlib's decompressor with the face of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(GZIP)

    @property
    def eof(self) -> bool:
        """Whether the member's end was reached."""
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without more bytes."""
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """Bytes after the member's end."""
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """At most `max_length` bytes of what is packed."""
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def unpack_members(new: Callable[[], Member], chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress one or more members, at most PIECE bytes at a time; zero bytes between and after them are padding.

    Raises:
        UnpackError: the stream is damaged or ends too early.
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
        raise UnpackError("it ends too early")


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
        hint = "; it was packed with a window above 128 MiB: pack it again without --long"
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


@dataclass(frozen=True)
class Packing:
    """One way in which files are packed: the ends of their names, their first bytes, and the command that tests one."""

    name: str
    suffixes: tuple[str, ...]
    magic: re.Pattern[bytes]
    unpack: Callable[[Iterator[bytes]], Iterator[bytes]]
    test: str


PACKINGS = (
    Packing("gzip", (".gz", ".gzip"), re.compile(rb"\x1f\x8b"), lambda c: unpack_members(GzipMember, c), "gzip -t"),
    Packing(
        "bzip2",
        (".bz2",),
        re.compile(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)"),
        lambda c: unpack_members(bz2.BZ2Decompressor, c),
        "bzip2 -t",
    ),
    Packing(
        "xz",
        (".xz", ".lzma"),
        re.compile(rb"\xfd7zXZ\0|]\0\0[\0-\xff]{2}"),
        lambda c: unpack_members(lzma.LZMADecompressor, c),
        "xz -t",
    ),
    Packing(
        "zstd", (".zst", ".zstd"), re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), unpack_zstd, "zstd -t"
    ),
)
SUFFIXES = tuple(suffix for packing in PACKINGS for suffix in packing.suffixes)
PACKED = rf"(?:{'|'.join(map(re.escape, SUFFIXES))})?"
"""Pattern of the end of a name that may be packed."""

FOREIGN = (
    (re.compile(rb"version https://git-lfs\.github\.com/spec/"), "a Git LFS pointer, not the file", "`git lfs pull`"),
    (re.compile(rb"\s*<(!doctype html|html)\b", re.IGNORECASE), "an HTML page", "download the file itself"),
    (re.compile(rb"PK(\x03\x04|\x05\x06)"), "a zip archive (or a workbook)", "unpack it, or export it as CSV"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7z archive", "unpack it"),
    (re.compile(rb"Rar!\x1a"), "a RAR archive", "unpack it"),
    (re.compile(rb"\x04\x22\x4d\x18"), "packed with lz4", "pack it with gzip or zstd"),
    (re.compile(rb"[\0-\xff]{257}ustar"), "a tar archive", "unpack it"),
)
"""First bytes of what is no data file of ours: what it is, and what to do."""


def plain_name(name: str) -> str:
    """A file's name in lower case, without the end that says how it is packed."""
    lower = name.lower()
    return next((lower.removesuffix(suffix) for suffix in SUFFIXES if lower.endswith(suffix)), lower)


def is_packed_name(name: str) -> bool:
    """Whether the name says that the file is packed."""
    return name.lower().endswith(SUFFIXES)


def require_data(head: bytes, uri: str) -> None:
    """Refuse what is no data file. Raises InputError that says what it is."""
    for magic, what, remedy in FOREIGN:
        if magic.match(head):
            raise InputError(f"{uri} is {what}", rule="a source's files hold rows", remedy=remedy)


def unpack(chunks: Iterator[bytes], uri: str) -> Iterator[bytes]:
    """The bytes of a file, unpacked where they are packed.

    Raises:
        InputError: the file is damaged, or it is neither packed in a known way nor what its name says.
    """
    head, chunks = peek(chunks, HEAD)
    packing = next((each for each in PACKINGS if each.magic.match(head)), None)
    if packing is None:
        _require_plain(head, uri)
        yield from chunks
        return
    if not uri.lower().endswith(packing.suffixes):
        say("collect", f"{uri} is a {packing.name} file, whatever its name says: it is unpacked")
    try:
        inner, unpacked = peek(packing.unpack(chunks), HEAD)
        require_data(inner, uri)
        yield from unpacked
    except UnpackError as error:
        raise InputError(
            f"{uri} is a damaged {packing.name} file: {error}",
            remedy=f"copy the file again; `{packing.test}` checks it",
        ) from error


def _require_plain(head: bytes, uri: str) -> None:
    """Refuse a file that is not packed though its name says so, unless it is data as it is."""
    require_data(head, uri)
    if not head or not is_packed_name(uri):
        return
    # Zero bytes are those of UTF-16.
    if not (TEXT.fullmatch(head.replace(b"\0", b"")) or head.startswith((b"PAR1", b"ARROW1"))):
        raise InputError(
            f"{uri} is no {uri.rpartition('.')[2]} file: it begins with {head[:8]!r}",
            rule=f"packed files are {', '.join(packing.name for packing in PACKINGS)}",
            remedy="copy the file again, or pack it in one of these ways",
        )
    say("collect", f"{uri} is not packed, whatever its name says: it is read as it is")
