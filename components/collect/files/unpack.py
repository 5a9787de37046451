"""Compressed files (gzip, bzip2, xz, zstd) as streams of their content.

The first bytes decide how a file is compressed, not its name: a file that was decompressed in transit and kept its
`.gz`, or the reverse, is read correctly, with a note in the log.
"""

import bz2
import lzma
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components.collect.files.decompress import GzipDecompressor, UnpackError, unpack_members, unpack_zstd
from components.collect.files.streams import peek
from components.shared.errors import InputError
from components.shared.log import say

HEAD = 512
"""Bytes at the start of a file that identify its type."""
TEXT = re.compile(rb"[\t\n\r\x20-\xff]*")


@dataclass(frozen=True)
class Packing:
    """A compression format: its suffixes, its first bytes, its decompressor, and the command that tests a file."""

    name: str
    suffixes: tuple[str, ...]
    magic: re.Pattern[bytes]
    unpack: Callable[[Iterator[bytes]], Iterator[bytes]]
    test: str


PACKINGS = (
    Packing(
        "gzip", (".gz", ".gzip"), re.compile(rb"\x1f\x8b"), lambda c: unpack_members(GzipDecompressor, c), "gzip -t"
    ),
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
"""Pattern of an optional suffix of a compressed file."""

FOREIGN = (
    (re.compile(rb"version https://git-lfs\.github\.com/spec/"), "a Git LFS pointer, not the file", "`git lfs pull`"),
    (re.compile(rb"\s*<(!doctype html|html)\b", re.IGNORECASE), "an HTML page", "download the file itself"),
    (re.compile(rb"PK(\x03\x04|\x05\x06)"), "a zip archive (or a workbook)", "unpack it, or export it as CSV"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7z archive", "unpack it"),
    (re.compile(rb"Rar!\x1a"), "a RAR archive", "unpack it"),
    (re.compile(rb"\x04\x22\x4d\x18"), "packed with lz4", "pack it with gzip or zstd"),
    (re.compile(rb"[\0-\xff]{257}ustar"), "a tar archive", "unpack it"),
)
"""First bytes of files that are not data: what they are, and the remedy."""


def plain_name(name: str) -> str:
    """A file's name in lower case, without the suffix of a compression format."""
    lower = name.lower()
    return next((lower.removesuffix(suffix) for suffix in SUFFIXES if lower.endswith(suffix)), lower)


def is_packed_name(name: str) -> bool:
    """Whether the name has the suffix of a compression format."""
    return name.lower().endswith(SUFFIXES)


def require_data(head: bytes, uri: str) -> None:
    """Raises InputError if the first bytes are those of a file that is not data, such as an HTML page."""
    for magic, what, remedy in FOREIGN:
        if magic.match(head):
            raise InputError(f"{uri} is {what}", rule="a source's files hold rows", remedy=remedy)


def unpack(chunks: Iterator[bytes], uri: str) -> Iterator[bytes]:
    """The bytes of a file, decompressed if they are compressed.

    Raises:
        InputError: the file is damaged, or its name promises compression that its content does not have.
    """
    head, chunks = peek(chunks, HEAD)
    packing = next((each for each in PACKINGS if each.magic.match(head)), None)
    if packing is None:
        _require_plain(head, uri)
        yield from chunks
        return
    if not uri.lower().endswith(packing.suffixes):
        say("collect", f"{uri} is a {packing.name} file despite its name, and is decompressed")
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
    """Raises InputError for a file that is not compressed despite its name, unless it is readable data."""
    require_data(head, uri)
    if not head or not is_packed_name(uri):
        return
    # Zero bytes occur in UTF-16.
    if not (TEXT.fullmatch(head.replace(b"\0", b"")) or head.startswith((b"PAR1", b"ARROW1"))):
        raise InputError(
            f"{uri} is not a valid {uri.rpartition('.')[2]} file: it begins with {head[:8]!r}",
            rule=f"supported compression: {', '.join(packing.name for packing in PACKINGS)}",
            remedy="copy the file again, or compress it in one of these formats",
        )
    say("collect", f"{uri} is not compressed despite its name, and is read as it is")
