"""Texts to continue: the first lines are given, and the rest is the response and the reference of a check by chrF.

Sonnets from their first three lines: a task of Stanford's CS224N (build GPT-2), and of Feng and Yang, arXiv 2603.20100.
"""

from collections.abc import Iterator
from itertools import accumulate

from components.collect.files.records import BadRowError, Rejection
from components.collect.shapes.shape import Draft, RecordFields, Shape, ShapeSettings, text
from components.shared.rows import Check
from components.shared.text.counted import counted


def recognises(fields: RecordFields) -> bool:
    """Never: any text can be continued, so a source names this shape."""
    return False


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one text. Blank lines are not counted."""
    lines = text(fields, "text").strip("\r\n").splitlines()
    given = reading.continuation.given_lines
    filled = list(accumulate(int(bool(line.strip())) for line in lines))
    if not filled or filled[-1] <= given:
        count = counted(filled[-1] if filled else 0, "line")
        raise BadRowError(Rejection.empty_response, f"the text has {count}, of which {given} are given")
    end = filled.index(given) + 1
    beginning, rest = ("\n".join(part).strip("\n") for part in (lines[:end], lines[end:]))
    yield Draft(reading.continuation.ask(beginning), rest, check=Check(kind="chrf", answer=rest))


SHAPE = Shape("continuation", recognises, read, frozenset({"id", "text"}), has_check=True)
