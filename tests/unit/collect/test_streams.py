"""Streams of bytes: nothing is lost at chunk boundaries, and memory is bounded."""

import tracemalloc
from collections.abc import Iterator

import pytest

from components.collect.files.streams import PIECE, peek, split_lines


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[place : place + size] for place in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    "data", [b"", b"a", b"a\n", b"\n", b"\n\n", b"a\nbb\n\nccc", "中\n文\n".encode(), b"a\r\nb\r\n"]
)
def test_lines_do_not_depend_on_chunk_boundaries(data: bytes, size: int) -> None:
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert list(split_lines(cut(data, size), limit=100)) == expected


@pytest.mark.parametrize("size", [1, 3, 5, 1000])
def test_line_over_the_limit_is_skipped_alone(size: int) -> None:
    data = b"short\n" + b"x" * 50 + b"\nnext\n" + b"y" * 50
    assert list(split_lines(cut(data, size), limit=10)) == [b"short", None, b"next", None]


def test_byte_order_mark_is_removed() -> None:
    assert list(split_lines(iter([b"\xef\xbb\xbfa\n\xef\xbb\xbfb"]), limit=10)) == [b"a", b"\xef\xbb\xbfb"]


def test_endless_line_takes_bounded_memory() -> None:
    tracemalloc.start()
    assert list(split_lines((bytes(PIECE).replace(b"\0", b"x") for _ in range(64)), limit=1000)) == [None]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * PIECE


def test_peeked_bytes_are_not_lost() -> None:
    head, chunks = peek(iter([b"ab", b"", b"c", b"defg"]), 3)
    assert head == b"abc" and b"".join(chunks) == b"abcdefg"
    head, chunks = peek(iter([b"a"]), 10)
    assert head == b"a" and b"".join(chunks) == b"a"
