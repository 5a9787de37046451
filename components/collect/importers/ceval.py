"""C-Eval (Huang et al., arXiv 2305.08322): `val/SUBJECT_val.csv` is asked: the answers of `test` are not public;
`dev/SUBJECT_dev.csv` holds few-shot examples with explanations.

Columns: id, question, A, B, C, D, answer, and in `dev` explanation.
"""

import re
from collections.abc import Iterator

from components.collect.importers.importer import Importer, OriginalFile
from components.collect.importers.multiple_choice import QuestionPlace, QuestionSplit, csv_path, read_file
from components.shared.rows import Question


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question]:
    """The questions of one file."""
    split: QuestionSplit = "test" if match["split"] == "val" else "dev"
    return read_file(member, QuestionPlace(benchmark, match["subject"], split), first_column=1, header=True)


IMPORTER = Importer("ceval", csv_path("val", "dev"), read)
