"""Compressed files are detected by content and read in bounded memory; damage is reported."""

import bz2
import gzip
import lzma
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from components.collect.files.decompress import UnpackError
from components.collect.files.streams import PIECE
from components.collect.files.unpack import PACKINGS, is_packed_name, plain_name
from components.shared.errors import InputError

LINES = b'{"q": "first"}\n', b'{"q": "second"}\n'
PACKERS: dict[str, Any] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: pyarrow.compress(data, codec="zstd", asbytes=True),
}
UNPACK = {packing.name: packing.unpack for packing in PACKINGS}
SKIPPABLE = (0x184D2A50).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"note"


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[place : place + size] for place in range(0, len(data), size))


def test_every_compression_format_is_tested() -> None:
    assert set(PACKERS) == set(UNPACK)


@pytest.mark.parametrize("size", [1, 10, 1000, 1 << 20])
@pytest.mark.parametrize("name", PACKERS)
def test_several_members_in_one_file(name: str, size: int) -> None:
    packed = PACKERS[name](LINES[0]) + PACKERS[name](b"") + PACKERS[name](LINES[1])
    assert b"".join(UNPACK[name](cut(packed, size))) == b"".join(LINES)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_xz_padding_and_zstd_skippable_frames(size: int) -> None:
    packed = lzma.compress(LINES[0]) + bytes(8) + lzma.compress(LINES[1]) + bytes(4)
    assert b"".join(UNPACK["xz"](cut(packed, size))) == b"".join(LINES)
    frames = SKIPPABLE + PACKERS["zstd"](LINES[0]) + SKIPPABLE + PACKERS["zstd"](LINES[1]) + SKIPPABLE
    assert b"".join(UNPACK["zstd"](cut(frames, size))) == b"".join(LINES)


@pytest.mark.parametrize("name", PACKERS)
def test_decompression_bomb_takes_bounded_memory(name: str) -> None:
    pieces = [len(piece) for piece in UNPACK[name](iter([PACKERS[name](bytes(20 * PIECE))]))]
    assert sum(pieces) == 20 * PIECE and max(pieces) <= PIECE


@pytest.mark.parametrize("damage", ["cut", "changed", "not packed", "rubbish behind"])
@pytest.mark.parametrize("name", PACKERS)
def test_damage(name: str, damage: str) -> None:
    packed = PACKERS[name](b"some text that is long enough to be cut somewhere")
    middle = len(packed) // 2
    data = {
        "cut": packed[:-9],
        "changed": packed[:middle] + bytes([packed[middle] ^ 0xFF]) + packed[middle + 1 :],
        "not packed": b'{"a": 1}\n',
        "rubbish behind": packed + b"rubbish",
    }[damage]
    if (name, damage) == ("zstd", "changed"):
        data = packed[:4] + b"\xff" + packed[5:]  # pyarrow writes no checksum
    with pytest.raises(UnpackError):
        list(UNPACK[name](iter([data])))


def test_zstd_with_a_window_above_the_limit_names_it() -> None:
    # A frame header with a window of 2 GiB, as `zstd --long=31` writes it (RFC 8878, section 3.1.1.1).
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(31 - 10) << 3]) + b"\x01\x00\x00"
    with pytest.raises(UnpackError, match="window is larger than 128 MiB"):
        list(UNPACK["zstd"](iter([frame])))


@pytest.mark.parametrize("name", PACKERS)
def test_content_decides_not_the_name(name: str, make_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (packing,) = (packing for packing in PACKINGS if packing.name == name)
    data = b"".join(LINES)
    for suffix in packing.suffixes:
        assert b"".join(make_file(f"rows.jsonl{suffix}", PACKERS[name](data)).chunks()) == data
    assert capsys.readouterr().err == ""
    assert b"".join(make_file("rows.jsonl", PACKERS[name](data)).chunks()) == data
    assert f"is a {name} file despite its name" in capsys.readouterr().err
    assert b"".join(make_file(f"rows.jsonl{packing.suffixes[0]}", data).chunks()) == data
    assert "is not compressed despite its name, and is read as it is" in capsys.readouterr().err


def zipped() -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("rows.jsonl", LINES[0])
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (zipped(), "is a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "is a Git LFS pointer.*git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is an HTML page"),
        (b"\x04\x22\x4d\x18\x64\x40", "is packed with lz4"),
        (b"\x00\x01\x02\x03 neither", "is not a valid gz file: it begins with"),
    ],
)
def test_files_that_are_not_data_are_described(data: bytes, said: str, make_file: Any) -> None:
    with pytest.raises(InputError, match=r"(?s)rows\.jsonl\.gz " + said):
        list(make_file("rows.jsonl.gz", data).chunks())


def test_html_inside_a_compressed_file_is_named(make_file: Any) -> None:
    with pytest.raises(InputError, match="is an HTML page"):
        list(make_file("rows.jsonl.gz", gzip.compress(b"<html>403</html>")).chunks())


def test_empty_file_is_empty(make_file: Any) -> None:
    assert list(make_file("rows.jsonl.zst", b"").chunks()) == []


@pytest.mark.parametrize(("name", "command"), [("gzip", "gzip -t"), ("zstd", "zstd -t"), ("xz", "xz -t")])
def test_damaged_file_names_the_command_that_checks_it(name: str, command: str, make_file: Any) -> None:
    packed = PACKERS[name](b"".join(LINES) * 100)
    with pytest.raises(InputError, match=rf"rows\.jsonl is a damaged {name} file") as caught:
        list(make_file("rows.jsonl", packed[:-5]).chunks())
    assert command in caught.value.remedy


def test_names() -> None:
    assert [plain_name(f"A.JSONL{end}") for end in ("", ".GZ", ".zst", ".bz2", ".xz")] == ["a.jsonl"] * 5
    assert is_packed_name("a.csv.ZST") and not is_packed_name("a.csv")


def test_memory_is_bounded_for_zstd() -> None:
    """The stream is decompressed as it is read: 200 MB take little memory."""
    program = """
import pyarrow, resource
from components.collect.files.decompress import unpack_zstd
packed = pyarrow.compress(b"row " * 1000, codec="zstd", asbytes=True) * 50_000
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert sum(len(piece) for piece in unpack_zstd(iter([packed]))) == 200_000_000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""

    root = Path(__file__).parents[3]
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 40
