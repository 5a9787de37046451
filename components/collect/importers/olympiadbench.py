"""OlympiadBench (He et al., arXiv 2402.14008): open-ended competition problems in English, `OE_TO_maths_en_COMP`.

Fields: id, question, solution, final_answer (a list), is_multiple_answer, unit, answer_type, error (a tolerance),
subfield, …; as JSON or Parquet. Several answers are one list; a unit is asked for. A row whose answer cannot be
compared is left out and counted: no final answer, an answer_type that needs a person, or a tolerance of anything but
one number.
"""

import re
from collections.abc import Iterator
from typing import Any

from components.collect.files.records import Rejection
from components.collect.files.unpack import PACKED
from components.collect.importers.importer import Importer, OriginalFile, RejectedQuestion, need
from components.collect.importers.math_problems import plain_text
from components.rewards.mathematics.quantities import number as number_in
from components.shared.rows import Check, Question

COMPARED = frozenset({"Numerical", "Expression", "Equation", "Tuple", "Interval"})
"""The answer types that the benchmark's authors compare by program; `Need_human_evaluate` is none of them."""
DOLLARS = re.compile(r"\$")


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question | RejectedQuestion]:
    """The problems whose answers can be compared, and those that are left out."""
    for number, fields in member.records():
        question = need(member, number, fields, "question")
        answers = _answers(member, number, fields)
        tolerance, unit = plain_text(fields.get("error")), plain_text(fields.get("unit"))
        if problem := _incomparable(answers, str(fields.get("answer_type")), tolerance):
            yield RejectedQuestion(number, Rejection.not_comparable, problem)
            continue
        answer = ", ".join(answers)
        yield Question(
            benchmark=benchmark,
            subject=str(fields.get("subfield") or "").lower().replace(" ", "_"),
            id=f"{benchmark}/{plain_text(fields.get('id')) or number}",
            question=question,
            answer=answer,
            check=None if tolerance else Check(kind="math", answer=answer),
            extra={name: text for name, text in (("unit", unit), ("tolerance", tolerance)) if text},
        )


def _answers(member: OriginalFile, number: int, fields: dict[str, Any]) -> list[str]:
    """The right answers, without dollar signs; an empty list where there is none. Raises InputError."""
    found = fields.get("final_answer")
    if found is None and "final_answer" in fields:
        return []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        has = ", ".join(fields)
        raise member.wrong(number, f"'final_answer' is not a list of texts; has {has}; use OE_TO_maths_en_COMP")
    return [text for each in found if (text := DOLLARS.sub("", each).strip())]


def _incomparable(answers: list[str], kind: str, tolerance: str) -> str:
    """Why the answers of a row cannot be compared; empty if they can."""
    if not answers:
        return "no final_answer"
    if not COMPARED.issuperset(part.strip() for part in kind.split(",")):
        return f"answer_type {kind!r} needs a person; compared are {', '.join(sorted(COMPARED))}"
    if tolerance and (number_in(tolerance) is None or len(answers) > 1 or number_in(answers[0]) is None):
        return f"a tolerance of {tolerance} for {', '.join(answers)}, which is not one number"
    return ""


IMPORTER = Importer("olympiadbench", re.compile(rf"OE_TO_maths_en_COMP[^/]*\.(?:jsonl?|parquet){PACKED}$"), read)
