"""The questions of the benchmarks in the settings, from what `collect` imported."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase

from components.evaluate.benchmarks.benchmark import Benchmark, Shot
from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.settings import BenchmarkSettings
from components.rewards.checks.registry import CHECKERS
from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rows import Message, Question, Role
from components.shared.text.counted import counted

ROLES: tuple[Role, ...] = ("user", "assistant")
"""The roles of the turns of a worked example."""


@dataclass(frozen=True)
class QuestionSet:
    """The questions of one benchmark: those asked, and by subject those that worked examples are made of."""

    asked: tuple[Question, ...]
    dev: dict[str, tuple[Question, ...]]


def read_questions(
    library: Library,
    benchmarks: Manifest,
    wanted: Sequence[BenchmarkSettings],
    asks: Callable[[str, str], bool] = lambda _benchmark, _question: True,
) -> dict[str, QuestionSet]:
    """The questions of the wanted benchmarks, by their names.

    Args:
        library: where the questions are stored.
        benchmarks: what collect imported.
        wanted: the benchmarks.
        asks: whether a question, by benchmark and id, is in the part that is asked.

    Raises:
        InputError: a benchmark has no rows, or none in the part, its ids are not unique, rows are not questions, or a
            subject has fewer worked examples than requested.
    """
    asked: dict[str, list[Question]] = {benchmark.name: [] for benchmark in wanted}
    dev: dict[str, dict[str, list[Question]]] = {name: defaultdict(list) for name in asked}
    present: set[str] = set()
    for question in library.read_rows(benchmarks, Question):
        present.add(question.benchmark)
        if question.benchmark in asked and question.split == "test":
            asked[question.benchmark].append(question)
        elif question.benchmark in asked:
            dev[question.benchmark][question.subject].append(question)
    for benchmark in wanted:
        _require(benchmark, asked[benchmark.name], present, benchmarks)
    parts = {name: [row for row in rows if asks(name, row.id)] for name, rows in asked.items()}
    for name, rows in parts.items():
        _require_part(name, rows, asked[name], benchmarks)
    found = {
        benchmark.name: QuestionSet(
            asked=tuple(spread(parts[benchmark.name], benchmark.limit)),
            dev={subject: tuple(rows) for subject, rows in dev[benchmark.name].items()},
        )
        for benchmark in wanted
    }
    for benchmark in wanted:
        _require_shots(benchmark, found[benchmark.name], benchmarks.address)
    return found


def worked_examples(benchmark: BenchmarkSettings, questions: QuestionSet, subject: str) -> list[Shot]:
    """The worked examples before each question of a subject: at most as many as requested."""
    kind = benchmark.definition
    wanted = benchmark.few_shot if benchmark.few_shot is not None else kind.few_shot
    return kind.shots(subject, questions.dev.get(subject, ()))[:wanted] if wanted else []


def definition_of(benchmark: BenchmarkSettings, questions: QuestionSet) -> Benchmark:
    """The benchmark that a set is asked with; where checks score the replies, its metric is that of the check."""
    kind = benchmark.definition
    kinds = {question.check.kind for question in questions.asked if question.check is not None}
    return replace(kind, metric=CHECKERS[kinds.pop()].metric) if kind.needs_check and len(kinds) == 1 else kind


def turns_of(kind: Benchmark, worked: Sequence[Shot], question: Question) -> list[Message]:
    """What a model is given: the system message, worked examples, earlier turns, and the prompt."""
    system = [Message(role="system", content=question.system)] if question.system else []
    shots = [Message(role=role, content=text) for shot in worked for role, text in zip(ROLES, shot, strict=True)]
    return [*system, *shots, *question.history, Message(role="user", content=kind.prompt(question))]


def spread(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """At most `limit` questions, evenly spaced, so that a small sample covers all subjects."""
    count = len(questions)
    if limit is None or limit >= count:
        return list(questions)
    return [questions[index * count // limit] for index in range(limit)]


def _require(
    benchmark: BenchmarkSettings, questions: Sequence[Question], present: set[str], benchmarks: Manifest
) -> None:
    name = benchmark.name
    if not questions:
        raise InputError(
            f"{benchmarks.address} contains no questions of benchmark {name!r}",
            rule="the collect step must import every benchmark that is evaluated",
            allowed=sorted(present),
            remedy=f"add {benchmark.definition.files} to the benchmarks of collect, or leave {name} out",
        )
    ids = {question.id for question in questions}
    if len(ids) != len(questions):
        raise InputError(
            f"benchmark {name!r} has {counted(len(questions), 'question')} with {counted(len(ids), 'id')} "
            f"in {benchmarks.address}",
            rule="models are compared question by question, so the ids of a benchmark must be unique",
            remedy="import each file only once",
        )
    if benchmark.definition.needs_check:
        _require_checks(benchmark, questions, benchmarks)
    if benchmark.definition.ranks:
        _require_choices(benchmark, questions, benchmarks)


def _require_part(name: str, part: Sequence[Question], questions: Sequence[Question], benchmarks: Manifest) -> None:
    """A benchmark of a few questions may have all of them in the other part. Raises InputError."""
    if not part:
        raise InputError(
            f"none of the {counted(len(questions), 'question')} of {name!r} in {benchmarks.address} is in the part",
            rule="a hash of benchmark and question decides the part, so a set of few questions may lack one",
            remedy=f"import more questions of {name}, change validation_share, or leave {name} out",
        )


def _require_checks(benchmark: BenchmarkSettings, questions: Sequence[Question], benchmarks: Manifest) -> None:
    kinds = {question.check.kind if question.check else "none" for question in questions}
    if unknown := sorted(kinds - CHECKERS.keys()):
        name = benchmark.name
        raise InputError(
            f"questions of {name!r} in {benchmarks.address} have the check {', '.join(unknown)}",
            rule=f"benchmark {benchmark.protocol!r} scores a reply by the check of its question",
            allowed=list(CHECKERS),
            remedy=f"give {name} in collect.benchmarks a `check`, or set `benchmark` of {name} to one of "
            f"{', '.join(BENCHMARKS)}",
        )


def _require_choices(benchmark: BenchmarkSettings, questions: Sequence[Question], benchmarks: Manifest) -> None:
    for question in questions:
        if problem := _unrankable(benchmark.definition, question):
            raise InputError(
                f"question {question.id!r} of {benchmark.name!r} in {benchmarks.address} {problem}",
                rule=f"benchmark {benchmark.protocol!r} ranks two texts or more, none of them empty, and the answer is "
                "the letter of one",
                remedy=f"correct the questions of {benchmark.name}, or set its `benchmark` to another",
                allowed=[name for name, kind in BENCHMARKS.items() if not kind.ranks],
            )


def _unrankable(kind: Benchmark, question: Question) -> str:
    """Why the texts of a question cannot be ranked; empty where they can."""
    assert kind.continuations is not None
    texts = kind.continuations(question)
    if len(texts) < 2 or not all(texts):
        return f"has {counted(sum(map(bool, texts)), 'choice')} with a text"
    letters = ascii_uppercase[: len(texts)]
    answer = question.answer.strip().upper()
    return "" if len(answer) == 1 and answer in letters else f"has the answer {question.answer!r}, not one of {letters}"


def _require_shots(benchmark: BenchmarkSettings, questions: QuestionSet, address: str) -> None:
    """Fewer worked examples than requested would be another protocol under the same name. Raises InputError."""
    kind = benchmark.definition
    wanted = benchmark.few_shot if benchmark.few_shot is not None else kind.few_shot
    subjects = dict.fromkeys(question.subject for question in questions.asked)
    counts = {subject: len(worked_examples(benchmark, questions, subject)) for subject in subjects}
    short = [subject for subject, count in counts.items() if count < wanted]
    if not short:
        return
    fewest = min(counts[subject] for subject in short)
    which = f"subject {short[0]!r} of {benchmark.name}" if short[0] else f"benchmark {benchmark.name!r}"
    more = f", and {len(short) - 1} more subjects have too few" if len(short) > 1 else ""
    raise InputError(
        f"few_shot of {benchmark.name} is {wanted}, but {which} has "
        f"{counted(counts[short[0]], 'worked example')}{more}",
        rule="every question is preceded by as many worked examples as the settings or the benchmark specify",
        remedy=f"import {kind.files}, including the worked examples (dev), into {address}, "
        f"or set few_shot of {benchmark.name} to at most {fewest}",
    )
