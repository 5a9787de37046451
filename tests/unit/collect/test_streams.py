"""Bytes as streams: nothing is lost at the seams, and nothing grows without bound."""

import gzip
import tracemalloc
from collections.abc import Iterator

import pytest

from components.collect.streams import PIECE, split_lines
from components.collect.unpack import GzipMember, UnpackError, unpack_members


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[place : place + size] for place in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    "data", [b"", b"a", b"a\n", b"\n", b"\n\n", b"a\nbb\n\nccc", "中\n文\n".encode(), b"a\r\nb\r\n"]
)
def test_lines_are_those_of_the_whole(data: bytes, size: int) -> None:
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert list(split_lines(cut(data, size), limit=100)) == expected


@pytest.mark.parametrize("size", [1, 3, 5, 1000])
def test_line_over_the_limit_is_skipped_alone(size: int) -> None:
    data = b"short\n" + b"x" * 50 + b"\nnext\n" + b"y" * 50
    assert list(split_lines(cut(data, size), limit=10)) == [b"short", None, b"next", None]


def test_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert list(split_lines(iter([b"\xef\xbb\xbfa\n\xef\xbb\xbfb"]), limit=10)) == [b"a", b"\xef\xbb\xbfb"]


def test_endless_line_takes_bounded_memory() -> None:
    tracemalloc.start()
    assert list(split_lines((bytes(PIECE).replace(b"\0", b"x") for _ in range(64)), limit=1000)) == [None]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * PIECE


@pytest.mark.parametrize("size", [1, 10, 1000, 1 << 20])
def test_gzip_of_several_members(size: int) -> None:
    packed = gzip.compress(b"first\n") + gzip.compress(b"") + gzip.compress(b"second\n")
    assert b"".join(unpack_members(GzipMember, cut(packed, size))) == b"first\nsecond\n"


def test_bomb_is_unpacked_in_pieces() -> None:
    pieces = [len(piece) for piece in unpack_members(GzipMember, iter([gzip.compress(bytes(20 * PIECE))]))]
    assert sum(pieces) == 20 * PIECE and max(pieces) <= PIECE


@pytest.mark.parametrize("damage", ["cut", "changed", "not gzip", "rubbish behind"])
def test_damaged_gzip(damage: str) -> None:
    packed = gzip.compress(b"some text that is long enough to be cut somewhere")
    data = {
        "cut": packed[:-9],
        "changed": packed[:-6] + b"\xff\xff" + packed[-4:],
        "not gzip": b'{"a": 1}\n',
        "rubbish behind": packed + b"rubbish",
    }[damage]
    with pytest.raises(UnpackError):
        list(unpack_members(GzipMember, iter([data])))
