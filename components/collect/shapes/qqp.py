"""QQP's pairs of questions with `is_duplicate`, as classification by generation: the response is the label's word.

The wrong label's word is the rejected response, so that every record is a demonstration and a preference, without a
teacher: Feng and Yang, arXiv 2603.20100, train SFT and DPO on the same questions so. Their prompt is not published.
The fields are those of GLUE (Wang et al., arXiv 1804.07461).
"""

from collections.abc import Iterator

from components.collect.files.records import BadRowError, Rejection
from components.collect.shapes.shape import Draft, RecordFields, Shape, ShapeSettings, text
from components.shared.rows import Check

QUESTIONS, LABEL = ("question1", "question2"), "is_duplicate"
WORDS = {"1": ("yes", "no"), "0": ("no", "yes")}
"""The word of each label, and that of the other one."""


def recognises(fields: RecordFields) -> bool:
    """Whether the record has two questions and their label."""
    return {*QUESTIONS, LABEL} <= fields.keys()


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one pair; with its label ignored as a preference (`labels: ignored`) only the right word is read."""
    first, second = (_question(fields, name) for name in QUESTIONS)
    right, wrong = _words(fields)
    asked = f"Question 1: {first}\nQuestion 2: {second}\nDo both ask the same thing? Answer yes or no."
    check = Check(kind="exact", answer=right, ignore_punctuation=True)
    yield Draft(asked, right, check=check, rejected=wrong)


def _question(fields: RecordFields, name: str) -> str:
    found = text(fields, name)
    if not found.strip():
        raise BadRowError(Rejection.empty_instruction, f"{name!r} is empty")
    if "\t" in found or "\n" in found:
        # A quotation mark that opens a field in a file without quoting: what follows it is of other records.
        raise BadRowError(Rejection.broken_csv, f"{name!r} spans cells or lines: set the format unquoted_tsv")
    return found.strip()


def _words(fields: RecordFields) -> tuple[str, str]:
    label = str(fields[LABEL]).strip() if isinstance(fields.get(LABEL), (str, int)) else ""
    if label not in WORDS:
        raise BadRowError(
            Rejection.no_answer, f"{LABEL!r} is {fields.get(LABEL)!r}, expected one of {', '.join(WORDS)}"
        )
    return WORDS[label]


SHAPE = Shape("qqp", recognises, read, frozenset({"id", "qid1", "qid2", *QUESTIONS, LABEL}), has_check=True)
