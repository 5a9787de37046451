"""Shared by MMLU, CMMLU and C-Eval: CSV files of questions with four choices, one file for each subject and split."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from components.collect.files.unpack import PACKED
from components.collect.importers.importer import OriginalFile, require_letter
from components.shared.rows import Question

QuestionSplit = Literal["test", "dev"]
CHOICES = 4


class QuestionPlace(NamedTuple):
    """Where a file's questions belong: `test` is asked, `dev` holds few-shot examples."""

    benchmark: str
    subject: str
    split: QuestionSplit


def read_file(member: OriginalFile, place: QuestionPlace, *, first_column: int, header: bool) -> Iterator[Question]:
    """The questions of one file.

    Args:
        member: the file.
        place: benchmark, subject and split of its questions.
        first_column: column of the question, from 0; four choices and the letter follow it.
        header: whether the first row names the columns.
    """
    for number, row in member.rows():
        if header and number == 1:
            continue
        columns = row[first_column:]
        if len(columns) < CHOICES + 2:
            raise member.wrong(number, f"{len(row)} columns; expected question, four choices and answer")
        choices = tuple(columns[1 : CHOICES + 1])
        yield Question(
            benchmark=place.benchmark,
            subject=place.subject,
            split=place.split,
            id=f"{'/'.join(place)}/{number - int(header)}",
            question=columns[0],
            choices=choices,
            answer=require_letter(member, number, columns[CHOICES + 1], choices),
            extra=_explanation(columns[CHOICES + 2 :]),
        )


def _explanation(rest: list[str]) -> dict[str, str]:
    return {"explanation": rest[0]} if rest and rest[0] else {}


def csv_path(*splits: str) -> re.Pattern[str]:
    """The pattern of `SPLIT/SUBJECT_SPLIT.csv` and `SPLIT/SUBJECT.csv` at any depth."""
    return re.compile(
        rf"(?:^|/)(?P<split>{'|'.join(splits)})/(?P<subject>[^/]+?)(?:_(?:{'|'.join(splits)}))?\.csv{PACKED}$"
    )
