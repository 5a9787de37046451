"""MATH-500, AIME 2024 and 2025, AMC 2023 and Minerva Math: problems with one final answer, as they are published.

MATH-500 (Lightman et al., arXiv 2305.20050; HuggingFaceH4/MATH-500): problem, solution, answer, subject, level,
unique_id. AIME 2024: HuggingFaceH4/aime_2024 (id, problem, solution, answer, url, year) and Maxwell-Jia/AIME_2024 (ID,
Problem, Solution, Answer). AIME 2025: opencompass/AIME2025 (question, answer; two files) and yentinglin/aime_2025 (id,
problem, answer, solution, url, year). AMC 2023: math-ai/amc23 (id, question, answer, url) and
AI-MO/aimo-validation-amc (id, problem, answer, url), whose problems of 2022 are left out. Minerva Math (OCWCourses,
Lewkowycz et al., arXiv 2206.14858): math-ai/minervamath (question, answer), or problem and a solution with a box.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from components.collect.files.records import Rejection
from components.collect.files.unpack import PACKED
from components.collect.importers.importer import Importer, OriginalFile, RejectedQuestion
from components.rewards.mathematics.read_statement import read_statement
from components.shared.rows import Check, Question

PATH = re.compile(rf"(?:^|/)(?!train)[^/]*\.(?:jsonl|json|parquet){PACKED}$")
PROBLEM, ANSWER, SOLUTION = ("problem", "question"), ("answer",), ("solution",)
IDENTITY = ("unique_id", "id", "ID")
URL_YEAR = re.compile(r"(20\d\d)_(?:AMC|AIME)")


def read_problems(
    year: int | None,
) -> Callable[[str, OriginalFile, re.Match[str]], Iterator[Question | RejectedQuestion]]:
    """The reader of a set; `year` is that of its contest, if its rows may be of several."""

    def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question | RejectedQuestion]:
        for number, fields in member.records():
            made = MathRow(member, number, fields)
            if year is not None and made.year not in (None, year):
                yield RejectedQuestion(number, Rejection.another_set, f"a problem of {made.year}, not of {year}")
            else:
                yield made.question(benchmark)

    return read


@dataclass(frozen=True)
class MathRow:
    """One row of an original file. Raises InputError for a row of another shape."""

    member: OriginalFile
    number: int
    fields: dict[str, Any]

    def question(self, benchmark: str) -> Question:
        """The problem with its final answer, which the check `math` compares."""
        answer = self.answer
        solution = self._found(SOLUTION)
        return Question(
            benchmark=benchmark,
            subject=str(self.fields.get("subject") or ""),
            id=f"{benchmark}/{self._identity}",
            question=self._needed(PROBLEM),
            answer=answer,
            check=Check(kind="math", answer=answer),
            extra={"solution": solution} if solution and solution != answer else {},
        )

    @property
    def answer(self) -> str:
        """The final answer: its field, or else what the solution has in its last box."""
        if answer := self._found(ANSWER):
            return answer
        solution = self._found(SOLUTION)
        boxed = read_statement(solution) if "\\boxed" in solution else None
        if boxed is None or not boxed.text:
            raise self._wrong("neither an answer nor a solution with \\boxed{…}")
        return boxed.text

    @property
    def year(self) -> int | None:
        """The year of the contest, from the field `year` or the problem's address; None where neither says it."""
        stated = self._found(("year",))
        found = re.fullmatch(r"20\d\d", stated) or URL_YEAR.search(self._found(("url",)))
        return int(found[found.lastindex or 0]) if found else None

    @property
    def _identity(self) -> str:
        """The row's own id; without one, the file and the line."""
        return self._found(IDENTITY) or f"{PurePath(self.member.name).name.split('.')[0]}/{self.number}"

    def _needed(self, names: tuple[str, ...]) -> str:
        if not (text := self._found(names)):
            raise self._wrong(f"lacks {' or '.join(map(repr, names))}")
        return text

    def _found(self, names: tuple[str, ...]) -> str:
        """The first of the fields that has a value, whatever the case of its name; `142.0` is `142`."""
        lowered = {name.lower(): value for name, value in self.fields.items()}
        values = (lowered.get(name.lower()) for name in names)
        return next((plain_text(value) for value in values if value is not None and plain_text(value)), "")

    def _wrong(self, what: str) -> Exception:
        return self.member.wrong(
            self.number, f"{what}; has {', '.join(self.fields) or 'nothing'}; a row has problem or question, and answer"
        )


def plain_text(value: object) -> str:
    """A text or number of a data set as text; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


IMPORTERS = tuple(
    Importer(name, PATH, read_problems(year))
    for name, year in (
        ("math_500", None),
        ("aime_2024", 2024),
        ("aime_2025", 2025),
        ("amc_2023", 2023),
        ("minerva", None),
    )
)
