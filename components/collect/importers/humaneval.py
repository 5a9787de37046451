"""HumanEval (Chen et al., arXiv 2107.03374): `HumanEval.jsonl(.gz)`; the tests of a problem are Python source."""

import re
from collections.abc import Iterator

from components.collect.files.unpack import PACKED
from components.collect.importers.importer import Importer, OriginalFile, need
from components.shared.rows import Question


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question]:
    """Prompts with the canonical solution as the answer, and tests and entry point in `extra`."""
    for number, fields in member.objects():
        yield Question(
            benchmark=benchmark,
            id=need(member, number, fields, "task_id"),
            question=need(member, number, fields, "prompt"),
            answer=need(member, number, fields, "canonical_solution"),
            extra={
                "tests": need(member, number, fields, "test"),
                "entry_point": need(member, number, fields, "entry_point"),
            },
        )


IMPORTER = Importer("humaneval", re.compile(rf"\.jsonl{PACKED}$"), read)
