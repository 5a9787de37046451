"""The questions of the benchmarks that the settings name, out of what `collect` imported."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from components.evaluate.benchmarks.benchmark import Shot
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
        InputError: a benchmark is not among the rows, its ids repeat, rows are no questions, or a subject has fewer
            worked examples than are asked for.
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
    found = {
        benchmark.name: QuestionSet(
            asked=tuple(spread(asked[benchmark.name], benchmark.limit)),
            dev={subject: tuple(rows) for subject, rows in dev[benchmark.name].items()},
        )
        for benchmark in wanted
    }
    for benchmark in wanted:
        _require_shots(benchmark, found[benchmark.name], benchmarks.address)
    return found


def worked_examples(benchmark: BenchmarkSettings, questions: QuestionSet, subject: str) -> list[Shot]:
    """The worked examples before each question of a subject: as many as are asked for, where there are as many."""
    kind = BENCHMARKS[benchmark.name]
    wanted = benchmark.few_shot if benchmark.few_shot is not None else kind.few_shot
    return kind.shots(subject, questions.dev.get(subject, ()))[:wanted] if wanted else []


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


def _require_shots(benchmark: BenchmarkSettings, questions: QuestionSet, address: str) -> None:
    """Fewer worked examples than asked for would be another protocol under the same name."""
    kind = BENCHMARKS[benchmark.name]
    wanted = benchmark.few_shot if benchmark.few_shot is not None else kind.few_shot
    subjects = dict.fromkeys(question.subject for question in questions.asked)
    counts = {subject: len(worked_examples(benchmark, questions, subject)) for subject in subjects}
    short = [subject for subject, count in counts.items() if count < wanted]
    if not short:
        return
    fewest = min(counts[subject] for subject in short)
    which = f"subject {short[0]!r} of {benchmark.name}" if short[0] else f"benchmark {benchmark.name!r}"
    more = f", as {len(short) - 1} other subjects" if len(short) > 1 else ""
    raise InputError(
        f"few_shot of {benchmark.name} is {wanted}, and {which} has {counts[short[0]]} worked examples{more}",
        rule="a model is asked with as many worked examples as the settings or the benchmark say",
        remedy=f"import {kind.files} with the worked examples (dev) among them into {address}, "
        f"or set few_shot of {benchmark.name} to at most {fewest}",
    )
