"""QQP (GLUE, Wang et al., arXiv 1804.07461): the labelled `dev.tsv`, in `QQP.zip` or beside it, without quoting.

`test.tsv` has no labels. Prompt and label's word are those of the shape `qqp`, with which `train.tsv` is read.
"""

import re
from collections.abc import Iterator

from components.collect.files.records import BadRowError
from components.collect.files.unpack import PACKED
from components.collect.formats.unquoted_rows import cells, fields_of
from components.collect.importers.importer import Importer, OriginalFile, need
from components.collect.shapes import qqp
from components.collect.shapes.shape import ShapeSettings
from components.shared.rows import Question

READING = ShapeSettings()


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question]:
    """Pairs of questions with their label as a word."""
    header: list[str] = []
    for number, line in member.lines():
        if not header:
            header = cells(line)
            continue
        try:
            fields = fields_of(header, line)
            draft = next(qqp.read(fields, READING))
        except BadRowError as error:
            raise member.wrong(number, error.detail) from error
        yield Question(
            benchmark=benchmark,
            id=f"{benchmark}/{need(member, number, fields, 'id')}",
            question=draft.instruction,
            answer=draft.response,
            check=draft.check,
        )


IMPORTER = Importer("qqp", re.compile(rf"(?:^|[/_-])dev\.tsv{PACKED}$"), read)
