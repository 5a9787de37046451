"""Decode a file's text to UTF-8.

An encoding is detected only where it is certain: by a byte order mark, or by the zero bytes of UTF-16 and UTF-32 around
the ASCII characters with which JSON and headers begin (RFC 4627, section 3). Everything else is UTF-8 unless the source
names its encoding: a guess between GBK, Big5 and Windows-1252 would silently corrupt some texts.
"""

import codecs
import itertools
from collections.abc import Iterator

from components.collect.files.streams import peek

AUTO = "auto"
EXAMPLES = "gb18030 (GBK), big5, shift_jis, euc_kr, windows-1252, utf-16"
MARK = "\udc80"
"""Replaces bytes that are invalid in the encoding: a lone surrogate, which no row may contain."""
MARK_BYTES = MARK.encode("utf-8", "surrogatepass")
MARKED = "tutelage-marked"
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ZEROS = (
    ((False, True, True, True), "utf-32-le"),
    ((True, True, True, False), "utf-32-be"),
    ((False, True, False, True), "utf-16-le"),
    ((True, False, True, False), "utf-16-be"),
)
"""Which of the first four bytes are zero in each encoding. Text has no zero characters there."""
NOT_TEXT = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "utf-7"})

codecs.register_error(MARKED, lambda error: (MARK, getattr(error, "end", 0)))


def known_encoding(name: str) -> str:
    """The encoding's canonical name in Python. Raises ValueError for an unknown one."""
    if name == AUTO:
        return name
    try:
        found = codecs.lookup(name)
    except LookupError:
        found = None
    if found is None or not found._is_text_encoding or found.incrementaldecoder is None or found.name in NOT_TEXT:
        raise ValueError(
            f"unknown text encoding {name!r}; allowed: {AUTO}, or one that Python supports, such as {EXAMPLES}"
        )
    return found.name


def encoding_of(head: bytes) -> str:
    """The encoding that a text's first bytes determine; UTF-8 if they determine none."""
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    zeros = tuple(byte == 0 for byte in head[:4])
    return next((name for pattern, name in ZEROS if zeros and zeros == pattern[: len(zeros)] and any(zeros)), "utf-8")


def as_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Text as UTF-8; bytes that are invalid in its encoding become a lone surrogate, so only their row is rejected.

    A byte order mark takes precedence over `encoding`.
    """
    head, chunks = peek(chunks, 4)
    found = encoding_of(head)
    marked = any(head.startswith(mark) for mark, _ in MARKS)
    name = found if encoding == AUTO or marked else encoding
    if codecs.lookup(name).name == "utf-8":
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(name)(errors=MARKED)
    for chunk, final in itertools.chain(((chunk, False) for chunk in chunks), [(b"", True)]):
        if text := decoder.decode(chunk, final):
            yield text.encode("utf-8", "surrogatepass")


def valid_in(data: bytes) -> str:
    """Other encodings in which the bytes are valid: a hint for the reader of a message."""
    found = []
    for name in ("gb18030", "big5", "shift_jis", "euc_kr"):
        try:
            data.decode(name)
        except UnicodeDecodeError:
            continue
        found.append(name)
    return f"; valid as {', '.join(found)}" if found else ""
