"""Turn evaluation sets into questions: original files by an importer, rows of a source, and rows held out."""

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.collect.benchmarks.ask_rows import read_questions
from components.collect.benchmarks.open_sets import OpenBenchmark, OpenSet, open_sets
from components.collect.settings import QuestionSettings
from components.collect.sources.hold_out import HELD_OUT
from components.collect.sources.open_source import OpenSource
from components.collect.sources.read_source import too_many_rejected
from components.collect.sources.tally import SourceTally, unread_in_words
from components.collect.step import QUESTIONS, STEP
from components.shared.errors import EmptyDataError, InputError
from components.shared.log import say, track
from components.shared.outputs.digest import seed_of
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import Question, Rejected

ROWS, HOLDOUT = "rows", "holdout"
"""What reads the questions, in reports, where it is no importer."""
INSTRUCTIONS_INPUT = "collected-instructions"
"""The name of the input that rows are held out of; no evaluation set can have it."""


@dataclass
class Imported:
    """One evaluation set: what read it, its questions (`test`), few-shot examples (`dev`), subjects and rejections."""

    name: str
    importer: str
    subjects: int = 0
    test: int = 0
    dev: int = 0
    tally: SourceTally | None = None
    left_out: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, Any]:
        """The set's part of `report.json`; sets of one's own also have what the sources of instructions have."""
        rows = {} if self.tally is None else self.tally.report()
        counts = {"subjects": self.subjects, "test": self.test, "dev": self.dev}
        return {
            **rows,
            "rejected": rows.get("rejected", dict(self.left_out)),
            "name": self.name,
            "importer": self.importer,
            **counts,
        }


def import_benchmarks(
    library: Library,
    settings: QuestionSettings,
    opened: Sequence[OpenSet] | None = None,
    dataset: Manifest | None = None,
) -> Manifest:
    """Write the questions of every evaluation set.

    Args:
        library: where outputs are stored.
        settings: the evaluation sets, and which of their questions to sample.
        opened: the sets, if `open_sets` opened them before.
        dataset: the collected instructions, if rows of theirs are held out.

    Returns:
        Manifest of content `question/1` with Question rows in `rows/`, Rejected rows in `rejected/` and `report.json`:
        for each set what read it, its questions by split, its subjects, and rejected records by reason.

    Raises:
        InputError: files are missing, or differ from what was published; too many records of a set are rejected.
        EmptyDataError: a benchmark has no questions.
        StoreError: a store refuses access or is unreachable.
    """
    sets = open_sets(settings) if opened is None else opened
    inputs: dict[str, Manifest | Parent] = {item.source.name: item.parent for item in sets}
    if dataset is not None:
        inputs[INSTRUCTIONS_INPUT] = dataset
    output = Output(library, QUESTIONS, settings, inputs)

    def work() -> Manifest:
        writing = _Writing(output, settings)
        imported = [writing.take(item) for item in sets]
        if dataset is not None:
            imported += writing.take_held_out(library.read_rows(dataset, Question, HELD_OUT))
        counts = writing.close()
        output.write_json("report.json", {"benchmarks": [each.report() for each in imported]})
        counts |= {"benchmarks": len(imported)}
        counts |= {f"test_{each.name}": each.test for each in imported}
        counts |= {f"dev_{each.name}": each.dev for each in imported}
        return output.finish(counts)

    return output.made(work)


class _Writing:
    """Writes `rows/` and `rejected/`."""

    def __init__(self, output: Output, settings: QuestionSettings) -> None:
        self._settings = settings
        self._place = f"{output.library.uri(output.address)}/rejected"
        self._rows, self._rejected = RowWriter(output), RowWriter(output, "rejected")

    def take(self, opened: OpenSet) -> Imported:
        """The questions of one set."""
        source = opened.source
        if isinstance(opened, OpenBenchmark):
            imported = Imported(source.name, opened.importer.name)
            questions = self._read(opened, imported)
        else:
            tally = SourceTally(source.name, opened.unread)
            imported = Imported(source.name, ROWS, tally=tally)
            questions = self._asked(opened, tally)
        tracked = track(questions, STEP.name, source.name, unit="questions")
        self._write(imported, draw(tracked, source.limit, self._settings.seed), source.uri)
        if not imported.test:
            raise _empty(opened, imported)
        return imported

    def take_held_out(self, questions: Iterator[Question]) -> list[Imported]:
        """The questions that were held out."""
        first = next(questions)
        imported = Imported(first.benchmark, HOLDOUT)
        self._write(imported, itertools.chain([first], questions), "the sources")
        return [imported]

    def close(self) -> dict[str, float]:
        """Write what is left. Returns the numbers of questions and of rejected records."""
        self._rows.close()
        self._rejected.close()
        return {"questions": self._rows.rows, "rejected": self._rejected.rows}

    def _read(self, opened: OpenBenchmark, imported: Imported) -> Iterator[Question]:
        """The questions of original files; the rows that are left out are written and counted."""
        for item in opened.questions():
            if isinstance(item, Rejected):
                self._rejected.add(item)
                imported.left_out[item.reason] += 1
            else:
                yield item
        if imported.left_out:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(imported.left_out.items()))
            say(STEP.name, f"evaluation set {imported.name!r}: rows left out: {reasons}")

    def _asked(self, opened: OpenSource, tally: SourceTally) -> Iterator[Question]:
        """The questions of a set of one's own. Raises InputError when too many records are rejected."""
        if opened.unread:
            say(STEP.name, f"evaluation set {tally.name!r}: {unread_in_words(opened.unread)}")
        for item in read_questions(opened, self._settings, tally):
            if isinstance(item, Rejected):
                self._rejected.add(item)
            else:
                yield item
        if (error := too_many_rejected(tally, self._settings, self._place)) is not None:
            self._rejected.close()
            raise error
        for line in tally.notes():
            say(STEP.name, line)

    def _write(self, imported: Imported, questions: Iterator[Question], uri: str) -> None:
        splits, subjects, seen = Counter[str](), set(), set()
        for question in questions:
            if question.id in seen:
                raise InputError(
                    f"benchmark {imported.name!r}: two questions have the id {question.id!r}",
                    rule="ids are unique within an evaluation set",
                    remedy=f"set `uri` to the files of one set only; it is {uri}"
                    + ("; or set `id_field` to another field, or empty" if imported.tally else ""),
                )
            seen.add(question.id)
            splits[question.split] += 1
            subjects.add(question.subject)
            self._rows.add(question)
        imported.subjects, imported.test, imported.dev = len(subjects), splits["test"], splits["dev"]


def _empty(opened: OpenSet, imported: Imported) -> EmptyDataError:
    source = opened.source
    if isinstance(opened, OpenBenchmark):
        rule = f"importer {opened.importer.name!r} reads files whose path matches {opened.importer.wants.pattern}"
        remedy = "check `uri` (the original file or folder), `importer` and `subjects`"
    else:
        rule = imported.tally.emptiness() if imported.tally else ""
        remedy = "check `uri`, `shape`, `check` and `subjects`"
    return EmptyDataError(f"benchmark {source.name!r}: no questions in {source.uri}", rule=rule, remedy=remedy)


def draw(questions: Iterator[Question], limit: int | None, seed: int) -> Iterator[Question]:
    """The questions in their order; with a limit, a random sample of the asked ones, and all few-shot examples.

    Questions are ranked by a hash of id and seed. So a smaller limit gives a subset of a larger one's sample, and at
    most `limit` questions are in memory.
    """
    if limit is None:
        yield from questions
        return
    drawn: list[tuple[int, int, Question]] = []
    for place, question in enumerate(questions):
        if question.split == "dev":
            yield question
            continue
        rank = seed_of(f"{seed}:{question.id}", 256)
        add = heapq.heappush if len(drawn) < limit else heapq.heappushpop
        add(drawn, (-rank, place, question))
    yield from (question for _, _, question in sorted(drawn, key=lambda item: item[1]))
