"""BIG-Bench Hard (Suzgun et al., arXiv 2210.09261): `bbh/TASK.json`, {"examples": [{input, target}]}."""

import re
from collections.abc import Iterator

from components.collect.files.unpack import PACKED
from components.collect.importers.importer import Importer, OriginalFile, need
from components.shared.rows import Question


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question]:
    """The questions of one task; its file's name is the subject. The files are below 1 MB each."""
    value = member.whole()
    examples = value.get("examples") if isinstance(value, dict) else None
    if not isinstance(examples, list) or not all(isinstance(example, dict) for example in examples):
        raise member.wrong(1, "no list of objects under 'examples'")
    for number, example in enumerate(examples, start=1):
        yield Question(
            benchmark=benchmark,
            subject=match["task"],
            id=f"{benchmark}/{match['task']}/{number}",
            question=need(member, number, example, "input"),
            answer=need(member, number, example, "target"),
        )


IMPORTER = Importer("bbh", re.compile(rf"(?:^|/)(?P<task>[^/]+)\.json{PACKED}$"), read)
