"""C-Eval (Huang et al., arXiv 2305.08322): `val/SUBJECT_val.csv` is asked, since the answers of `test` are not public;
`dev/SUBJECT_dev.csv` gives examples with explanations.

Columns: id, question, A, B, C, D, answer, and in `dev` explanation.
"""

import re
from collections.abc import Iterator

from components.collect.importers.importer import Importer, Member
from components.collect.importers.multiple_choice import Place, Split, csv_path, read_file
from components.shared.rows import Question


def read(benchmark: str, member: Member, match: re.Match[str]) -> Iterator[Question]:
    """The questions of one file."""
    split: Split = "test" if match["split"] == "val" else "dev"
    return read_file(member, Place(benchmark, match["subject"], split), first_column=1, header=True)


IMPORTER = Importer("ceval", csv_path("val", "dev"), read)
