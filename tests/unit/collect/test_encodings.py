"""Text is decoded if its encoding is certain or named; nothing is guessed."""

from collections.abc import Iterator

import pytest

from components.collect.files.encodings import AUTO, as_utf8, known_encoding, valid_in

TEXT = '{"q": "中文 é 🙂"}\n' * 3


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[place : place + size] for place in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_unicode_is_detected_with_and_without_a_byte_order_mark(encoding: str, mark: str, size: int) -> None:
    read = b"".join(as_utf8(cut((mark + TEXT).encode(encoding), size), AUTO)).decode()
    assert read.removeprefix("\ufeff") == TEXT


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "big5", "shift_jis", "windows-1252", "utf-16-be"])
def test_named_encoding(encoding: str, size: int) -> None:
    text = "Größe" if encoding == "windows-1252" else "中文"
    read = as_utf8(cut(text.encode(encoding), size), known_encoding(encoding))
    assert b"".join(read).decode() == text


def test_byte_order_mark_has_precedence() -> None:
    assert b"".join(as_utf8(iter(["\ufeffé".encode()]), "gb18030")).decode() == "\ufeffé"
    assert b"".join(as_utf8(iter(["\ufeffé".encode("utf-16-le")]), "gb18030")).decode() == "é"


def test_nothing_is_guessed() -> None:
    data = "中文".encode("gbk")
    assert b"".join(as_utf8(iter([data]), AUTO)) == data, "left as it is, and rejected row by row"
    assert "gb18030" in valid_in(data) and valid_in(b"\xff\xff\xff") == ""


@pytest.mark.parametrize(
    ("encoding", "data"), [("gb18030", b'"\xff"'), ("utf-16-le", b"\x00\xd8a\0"), ("utf-16-le", b"a\0b")]
)
def test_bytes_that_are_invalid_in_the_encoding_stay_invalid(encoding: str, data: bytes) -> None:
    read = b"".join(as_utf8(iter([data]), encoding))
    with pytest.raises(UnicodeDecodeError):
        read.decode()


@pytest.mark.parametrize("name", ["base64", "rot13", "unicode_escape", "punycode", "martian", ""])
def test_unknown_encoding(name: str) -> None:
    with pytest.raises(ValueError, match=f"unknown text encoding '{name}'.*gb18030"):
        known_encoding(name)
