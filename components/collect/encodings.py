"""Text of a file as UTF-8, whatever encoding it has.

Only what is certain is found out: a byte order mark, and the zero bytes of UTF-16 and UTF-32 around the ASCII
characters with which JSON and headers begin (RFC 4627, section 3). Everything else is UTF-8 unless the source names
its encoding: to guess between GBK, Big5 or Windows-1252 would turn some texts into others without a word.
"""

import codecs
import itertools
from collections.abc import Iterator

from components.collect.streams import peek

AUTO = "auto"
EXAMPLES = "gb18030 (GBK), big5, shift_jis, euc_kr, windows-1252, utf-16"
MARK = "\udc80"
"""Stands for bytes that the encoding does not have: a lone surrogate, which no row may hold."""
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
"""Which of the first four bytes are zero, and what that means. Text holds no zero characters there."""
NOT_TEXT = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "utf-7"})

codecs.register_error(MARKED, lambda error: (MARK, getattr(error, "end", 0)))


def known_encoding(name: str) -> str:
    """The encoding's name as Python spells it. Raises ValueError for one that is not known."""
    if name == AUTO:
        return name
    try:
        found = codecs.lookup(name)
    except LookupError:
        found = None
    if found is None or not found._is_text_encoding or found.incrementaldecoder is None or found.name in NOT_TEXT:
        raise ValueError(f"no text encoding {name!r}; allowed: {AUTO}, or one that Python knows, such as {EXAMPLES}")
    return found.name


def encoding_of(head: bytes) -> str:
    """The encoding that a text's first bytes prove; UTF-8 where they prove none."""
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    zeros = tuple(byte == 0 for byte in head[:4])
    return next((name for pattern, name in ZEROS if zeros and zeros == pattern[: len(zeros)] and any(zeros)), "utf-8")


def as_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Text as UTF-8; bytes that its encoding does not have become a lone surrogate, and cost only their row.

    A byte order mark outranks the encoding that was named.
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
    """In which other encodings bytes that are no UTF-8 are text: a hint for a person, not proof."""
    found = []
    for name in ("gb18030", "big5", "shift_jis", "euc_kr"):
        try:
            data.decode(name)
        except UnicodeDecodeError:
            continue
        found.append(name)
    return f"; valid as {', '.join(found)}" if found else ""
