"""The questions of the benchmarks that the settings name, out of what `collect` imported."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.settings import BenchmarkSettings
from components.shared.errors import InputError
from components.shared.manifest import Manifest
from components.shared.rows import Question
from components.shared.shards import read_rows


@dataclass(frozen=True)
class QuestionSet:
    """One benchmark's questions: those asked, and those that worked examples may be made of, by subject."""

    asked: tuple[Question, ...]
    dev: dict[str, tuple[Question, ...]]


def read_questions(root: str, benchmarks: Manifest, wanted: Sequence[BenchmarkSettings]) -> dict[str, QuestionSet]:
    """The wanted benchmarks' questions by the benchmarks' names.

    Raises:
        InputError: a benchmark is not among the rows, its ids repeat, or rows are no questions.
    """
    asked: dict[str, list[Question]] = {benchmark.name: [] for benchmark in wanted}
    dev: dict[str, dict[str, list[Question]]] = {name: defaultdict(list) for name in asked}
    present: set[str] = set()
    for question in read_rows(root, benchmarks, Question):
        present.add(question.benchmark)
        if question.benchmark in asked and question.split == "test":
            asked[question.benchmark].append(question)
        elif question.benchmark in asked:
            dev[question.benchmark][question.subject].append(question)
    for name, questions in asked.items():
        _require(name, questions, present, benchmarks)
    return {
        benchmark.name: QuestionSet(
            asked=tuple(spread(asked[benchmark.name], benchmark.limit)),
            dev={subject: tuple(rows) for subject, rows in dev[benchmark.name].items()},
        )
        for benchmark in wanted
    }


def spread(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """At most `limit` questions at even distances, so that a small sample has of every subject."""
    count = len(questions)
    if limit is None or limit >= count:
        return list(questions)
    return [questions[index * count // limit] for index in range(limit)]


def _require(name: str, questions: Sequence[Question], present: set[str], benchmarks: Manifest) -> None:
    if not questions:
        raise InputError(
            f"benchmark {name!r} is in the settings, and {benchmarks.address} holds no question of it",
            rule="a benchmark is evaluated from rows that the collect step imported",
            allowed=sorted(present),
            remedy=f"add {BENCHMARKS[name].files} to the benchmarks of collect, or leave {name} out",
        )
    ids = {question.id for question in questions}
    if len(ids) != len(questions):
        raise InputError(
            f"benchmark {name!r} has {len(questions)} questions with {len(ids)} ids in {benchmarks.address}",
            rule="models are compared question by question, so ids are unique within a benchmark",
            remedy="import each file once",
        )
