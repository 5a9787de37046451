"""A made-up importer: one question on each line, its answer after the question mark."""

import re
from collections.abc import Iterator

from components.collect.importers.importer import Importer, OriginalFile
from components.shared.rows import Question


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question]:
    for number, line in member.lines():
        question, _, answer = line.partition("?")
        yield Question(benchmark=benchmark, id=f"{benchmark}/{number}", question=f"{question}?", answer=answer.strip())


IMPORTER = Importer("quiz", re.compile(r"\.txt$"), read)
