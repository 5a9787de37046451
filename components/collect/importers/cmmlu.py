"""CMMLU (Li et al., arXiv 2306.09212): `test/SUBJECT.csv` is asked, `dev/SUBJECT.csv` holds few-shot examples.

Columns: number, Question, A, B, C, D, Answer.
"""

import re
from collections.abc import Iterator

from components.collect.importers.importer import Importer, OriginalFile
from components.collect.importers.multiple_choice import QuestionPlace, QuestionSplit, csv_path, read_file
from components.shared.rows import Question


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question]:
    """The questions of one file."""
    split: QuestionSplit = "test" if match["split"] == "test" else "dev"
    return read_file(member, QuestionPlace(benchmark, match["subject"], split), first_column=1, header=True)


IMPORTER = Importer("cmmlu", csv_path("test", "dev"), read)
