"""What decides without a teacher: the length filters, the overlap with evaluation sets, and near-duplicates."""

from collections.abc import Callable, Iterator

import numpy as np

from components.curate.columns import Columns, DropReason
from components.curate.duplicates.near_duplicates import find_near_duplicates
from components.curate.duplicates.prints import QuestionPrints, print_questions
from components.curate.overlap.overlap_index import OverlapIndex
from components.curate.scan import scan
from components.curate.settings import CurateSettings
from components.curate.step import STEP
from components.curate.types.instruction_types import TypeRules
from components.shared.log import say, track
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.shards import count_rows
from components.shared.rows import Instruction, Question
from components.shared.text.counted import counted

Rows = Callable[[str], Iterator[Instruction]]
"""A new stream of all instructions, in order; the argument names the pass, for the progress."""


def rows_of(library: Library, instructions: Manifest) -> Rows:
    """The collected instructions as streams."""
    total = count_rows(instructions)
    return lambda what: track(library.read_rows(instructions, Instruction), STEP.name, what, total)


def apply_rules(
    library: Library, settings: CurateSettings, rules: TypeRules, rows: Rows, benchmarks: Manifest
) -> Columns:
    """Type every instruction, and drop those that are too short or long, overlap a question, or repeat another.

    Args:
        library: where the questions are stored.
        settings: of the step.
        rules: the instruction types.
        rows: the collected instructions.
        benchmarks: Question rows in `rows/`.
    """
    index = OverlapIndex(_questions(library, settings, benchmarks), settings)
    columns = scan(rows("types and overlap"), settings, rules, index)
    overlaps = columns.drops()[DropReason.EVALUATION_OVERLAP]
    say(
        STEP.name,
        f"{counted(len(columns), 'instruction')}, of which {overlaps} overlap one of {counted(len(index), 'question')}",
    )
    _drop_near_duplicates(
        columns, print_questions(_questions(library, settings, benchmarks), settings), settings.distance
    )
    return columns


def _questions(library: Library, settings: CurateSettings, benchmarks: Manifest) -> Iterator[Question]:
    """The evaluation questions that the result must not overlap."""
    return (
        question for question in library.read_rows(benchmarks, Question) if question.split in settings.overlap_splits
    )


def _drop_near_duplicates(columns: Columns, asked: QuestionPrints, distance: int) -> None:
    """Drop rows that are near an evaluation question, such as one held out, or else near an earlier row."""
    rows, count = columns.alive(), len(asked.names)
    hashes, guards = (np.concatenate(pair) for pair in zip(asked.arrays(), columns.prints(rows), strict=True))
    found = find_near_duplicates(hashes, guards, distance, always_kept=count)
    for place in np.flatnonzero(found.kept[count:] >= 0).tolist():
        kept, bits = int(found.kept[count + place]), found.distance[count + place]
        near = asked.names[kept] if kept < count else columns.ids[rows[kept - count]]
        reason = DropReason.EVALUATION_DUPLICATE if kept < count else DropReason.NEAR_DUPLICATE
        columns.drop(int(rows[place]), reason, f"{near} at distance {bits}")
    drops = columns.drops()
    near_questions = drops[DropReason.EVALUATION_DUPLICATE]
    say(STEP.name, f"{drops[DropReason.NEAR_DUPLICATE]} near-duplicates, {near_questions} of evaluation questions")
