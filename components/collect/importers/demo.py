"""Short questions with one exact answer: JSON lines of {id, family, question, answer}; the family is the subject."""

import re
from collections.abc import Iterator

from components.collect.importers.importer import Importer, Member, need
from components.collect.unpack import PACKED
from components.shared.rows import Question


def read(benchmark: str, member: Member, match: re.Match[str]) -> Iterator[Question]:
    """Questions with their exact answer."""
    for number, fields in member.objects():
        yield Question(
            benchmark=benchmark,
            subject=need(member, number, fields, "family"),
            id=need(member, number, fields, "id"),
            question=need(member, number, fields, "question"),
            answer=need(member, number, fields, "answer"),
        )


IMPORTER = Importer("demo", re.compile(rf"\.jsonl{PACKED}$"), read)
