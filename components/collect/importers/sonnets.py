"""Sonnets to continue: plain text with a number before each, as CS224N's `sonnets.txt` or Project Gutenberg have them.

The shape `continuation`, with its defaults, gives the first three lines, and the rest is the reference. A file without
the rest, such as CS224N's `sonnets_held_out.txt`, cannot be scored: its `TRUE_sonnets_held_out.txt` has it.
"""

import re
from collections.abc import Iterator

from components.collect.files.records import BadRowError
from components.collect.files.unpack import PACKED
from components.collect.formats.texts import Piece, divide
from components.collect.importers.importer import Importer, OriginalFile
from components.collect.shapes import continuation
from components.collect.shapes.shape import ShapeSettings
from components.shared.rows import Question

READING = ShapeSettings()
LONGEST = 100_000
"""Characters of one sonnet; a longer piece is a file that is divided in another way."""


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question]:
    """The first lines of each sonnet, with the rest as the answer."""
    for place, piece in enumerate(divide(member.text_lines, member.uri, LONGEST), start=1):
        yield _question(benchmark, member, place, piece)


def _question(benchmark: str, member: OriginalFile, place: int, piece: Piece) -> Question:
    if piece.text is None:
        raise member.wrong(piece.line, f"a text of more than {LONGEST} characters")
    try:
        draft = next(continuation.read({"text": piece.text}, READING))
    except BadRowError as error:
        raise member.wrong(piece.line, error.detail) from error
    return Question(
        benchmark=benchmark,
        id=f"{benchmark}/{piece.number or place}",
        question=draft.instruction,
        answer=draft.response,
        check=draft.check,
    )


IMPORTER = Importer("sonnets", re.compile(rf"\.txt{PACKED}$"), read)
