"""MMLU (Hendrycks et al., arXiv 2009.03300): `test/SUBJECT_test.csv` is asked;
`dev/SUBJECT_dev.csv` has few-shot examples.

The CSV files have no header: question, four choices, letter. `val` is not read.
"""

import re
from collections.abc import Iterator

from components.collect.importers.importer import Importer, OriginalFile
from components.collect.importers.multiple_choice import QuestionPlace, QuestionSplit, csv_path, read_file
from components.shared.rows import Question


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question]:
    """The questions of one file."""
    split: QuestionSplit = "test" if match["split"] == "test" else "dev"
    return read_file(member, QuestionPlace(benchmark, match["subject"], split), first_column=0, header=False)


IMPORTER = Importer("mmlu", csv_path("test", "dev"), read)
