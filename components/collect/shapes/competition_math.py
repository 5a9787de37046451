r"""MATH: a problem of a mathematics contest and a worked solution with its final answer in a box, `\boxed{42}`.

The original files (hendrycks/competition_math) have problem, level, type and solution; copies such as MATH-500's also
have the answer by itself. It becomes the row's check (Hendrycks and others, "Measuring Mathematical Problem Solving
With the MATH Dataset", arXiv 2103.03874).
"""

import re
from collections.abc import Iterator

from components.collect.files.records import BadRowError, Rejection
from components.collect.shapes.history import history_of
from components.collect.shapes.shape import SYSTEM, Draft, RecordFields, Shape, ShapeSettings, system_of, text
from components.rewards.mathematics.read_statement import read_statement
from components.shared.rows import Check

BOX = re.compile(r"\\f?box(?:ed)?\b")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
WITHOUT_BRACES = re.compile(r"(\\f?box(?:ed)?)\s+([^\s${}\\.,])")
"""As LaTeX reads it, a box without braces holds one character: a few solutions end with `\boxed 2`."""


def recognises(fields: RecordFields) -> bool:
    """Whether the record has a problem, and a solution with a box."""
    solution = fields.get("solution")
    return "problem" in fields and isinstance(solution, str) and BOX.search(solution) is not None


def read(fields: RecordFields, reading: ShapeSettings) -> Iterator[Draft]:
    """Read one problem."""
    solution = text(fields, "solution")
    answer = text(fields, "answer").strip() if fields.get("answer") else boxed_answer(solution)
    check = Check(kind="math", answer=answer)
    yield Draft(text(fields, "problem"), solution, system_of(fields), history_of(fields), check)


def boxed_answer(solution: str) -> str:
    """What the last box holds, in plain notation; of several in a row all. Raises BadRowError where none has an answer.

    What follows the last box is not read: the box is what the data set means by an answer.
    """
    stated = read_statement(_through_last_box(WITHOUT_BRACES.sub(r"\1{\2}", solution)))
    if not stated.boxes or not stated.text:
        raise BadRowError(Rejection.no_answer, r"no final answer in \boxed{…}")
    return stated.text


def _through_last_box(solution: str) -> str:
    """The solution to the end of its last box; all of it where there is none, or it is never closed."""
    starts, depth = [box.start() for box in BOX.finditer(solution)], 0
    for brace in BRACE.finditer(solution, starts[-1] if starts else len(solution)):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if brace[0] == "}" and depth == 0:
            return solution[: brace.end()]
    return solution


SHAPE = Shape(
    "competition_math",
    recognises,
    read,
    frozenset({"problem", "solution", "answer", *SYSTEM, "history"}),
    has_check=True,
)
