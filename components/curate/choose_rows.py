"""The rows of a preview: a few instructions that pass the rules, spread over sources and types.

They are chosen before anything is asked of a teacher, so that only they cost requests.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from components.curate.apply_rules import apply_rules, rows_of
from components.curate.balance import priorities
from components.curate.columns import Columns
from components.curate.curate import Inputs, curate_instructions
from components.curate.require_rows import require_rows
from components.curate.settings import CurateSettings
from components.curate.step import CHOSEN
from components.curate.types.instruction_types import TypeRules, load_types, types_parent
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import Instruction

REPORT = "report.json"
TOLERATED_SHARE = 0.5
"""Share of the replies that may lack a label: one of ten must not hide the other nine."""


class ChosenSettings(CurateSettings):
    """The settings of curate, and how many rows to choose."""

    preview_rows: int


class DropExample(BaseModel):
    """A dropped row: where it came from, its text, and the evidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    line: int
    instruction: str
    evidence: str


class ChoiceReport(BaseModel):
    """What the rules did to the rows considered, how many passed them, and the first example of each drop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    considered: int
    passed: int
    drops: dict[str, int]
    examples: dict[str, DropExample]


@dataclass(frozen=True)
class Candidate:
    """A row that may be chosen; the lowest priority value goes first among equals."""

    row: int
    source: str
    type: str
    priority: int


def choose_rows(
    library: Library, settings: CurateSettings, instructions: Manifest, benchmarks: Manifest, rows: int
) -> Manifest:
    """Apply the rules that need no teacher, and choose rows among those that pass.

    Args:
        library: where outputs are stored.
        settings: of the step.
        instructions: Instruction rows in `rows/`.
        benchmarks: Question rows in `rows/`, which a chosen row must not overlap.
        rows: how many; all that pass if they are fewer.

    Returns:
        The manifest: Instruction rows in `rows/`, in the order in which they were collected, and `report.json` (a
        ChoiceReport).

    Raises:
        SettingsError: the types file is invalid.
        EmptyDataError: no row passes.
    """
    chosen = ChosenSettings(**dict(settings), preview_rows=rows)
    inputs: Inputs = {
        "instructions": instructions,
        "benchmarks": benchmarks,
        "types": types_parent(settings.types_file),
    }
    output = Output(library, CHOSEN, chosen, inputs)

    def work() -> Manifest:
        rules = load_types(settings.types_file, settings.type_characters)
        columns = apply_rules(library, settings, rules, rows_of(library, instructions), benchmarks)
        require_rows(columns)
        considered = list(library.read_rows(instructions, Instruction))
        wanted = spread(_candidates(columns, rules, considered, settings.seed), rows)
        writer = RowWriter(output)
        for number in sorted(wanted):
            writer.add(considered[number])
        writer.close()
        report = _report(columns, considered)
        output.write_json(REPORT, report)
        return output.finish({"considered": report.considered, "passed": report.passed, "rows": writer.rows})

    return output.made(work)


def label_chosen(library: Library, settings: CurateSettings, chosen: Manifest, benchmarks: Manifest) -> Manifest:
    """Curate the chosen rows: label them. Neither rare labels nor the balance can be judged on so few.

    Args:
        library: where outputs are stored.
        settings: of the step.
        chosen: what `choose_rows` returned.
        benchmarks: as for `choose_rows`, which has looked for overlap with them.

    Raises:
        GenerationError: the teacher is unreachable, or most of its replies have no label.
        EmptyDataError: no row has a label.
    """
    unbalanced = {"rare_below": 0, "cap": None, "cap_of_median": None, "maximum_rows": None}
    tolerant = {"unlabelled_share": max(settings.unlabelled_share, TOLERATED_SHARE)}
    # The questions have been searched: an empty choice of splits leaves no question to index again.
    searched = {"overlap_splits": ()}
    changed = settings.model_copy(update={**unbalanced, **tolerant, **searched})
    return curate_instructions(library, changed, chosen, benchmarks)


def spread(candidates: Sequence[Candidate], rows: int) -> set[int]:
    """The numbers of the chosen rows, one after the other from the source, then the type, with the fewest chosen.

    The choice of n rows is contained in that of n + 1.
    """
    sources: Counter[str] = Counter()
    types: Counter[str] = Counter()
    left = sorted(candidates, key=lambda one: (one.priority, one.row))
    chosen: set[int] = set()
    while left and len(chosen) < rows:
        best = min(left, key=lambda one: (sources[one.source], types[one.type]))
        left.remove(best)
        chosen.add(best.row)
        sources[best.source] += 1
        types[best.type] += 1
    return chosen


def _candidates(columns: Columns, rules: TypeRules, rows: Sequence[Instruction], seed: int) -> list[Candidate]:
    order = priorities(columns.ids, seed)
    return [
        Candidate(
            number, rows[number].source.partition("/")[0], rules.rules[columns.types[number]].name, int(order[number])
        )
        for number in columns.alive().tolist()
    ]


def _report(columns: Columns, rows: Sequence[Instruction]) -> ChoiceReport:
    examples: dict[str, DropExample] = {}
    for number, row in enumerate(rows):
        reason = columns.reason(number)
        if reason is not None and reason not in examples:
            evidence = columns.evidence.get(number, "")
            examples[reason] = DropExample(
                source=row.source, line=row.line, instruction=row.instruction, evidence=evidence
            )
    drops = {reason: count for reason, count in columns.drops().items() if count}
    passed = int(columns.kept().sum())
    return ChoiceReport(considered=len(columns), passed=passed, drops=drops, examples=examples)
