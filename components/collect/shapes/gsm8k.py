"""GSM8K: a question and a worked answer that ends in `#### 42`, with calculator annotations `<<48/2=24>>`.

The final answer becomes the row's check (Cobbe et al., "Training Verifiers to Solve Math Word Problems", arXiv
2110.14168).
"""

import re
from collections.abc import Iterator

from components.collect.files.records import BadRowError, Rejection
from components.collect.shapes.history import history_of
from components.collect.shapes.shape import SYSTEM, Draft, RecordFields, Shape, ShapeSettings, system_of, text
from components.shared.rows import Check

MARK = "####"
CALCULATOR = re.compile(r"<<[^<>]*>>")


def recognises(fields: RecordFields) -> bool:
    """Whether the record has a question, and an answer with the marker of the final answer."""
    answer = fields.get("answer")
    return "question" in fields and isinstance(answer, str) and MARK in answer


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one problem."""
    worked = text(fields, "answer")
    response = CALCULATOR.sub("", worked) if reading.calculator == "removed" else worked
    check = Check(kind="math", answer=final_answer(worked))
    yield Draft(text(fields, "question"), response, system_of(fields), history_of(fields), check)


def final_answer(worked: str) -> str:
    """The number after the last marker, without thousands separators. Raises BadRowError when there is none."""
    _, mark, answer = worked.rpartition(MARK)
    if not mark or not answer.strip():
        raise BadRowError(Rejection.no_answer, f"no final answer after {MARK}")
    return answer.strip().replace(",", "")


SHAPE = Shape("gsm8k", recognises, read, frozenset({"question", "answer", *SYSTEM, "history"}), has_check=True)
