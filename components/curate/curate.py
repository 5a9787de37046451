"""Curate instructions: filter, remove overlap and near-duplicates, label, balance, and report.

Each pass streams the rows; only ids and numbers are in memory. The README explains the order of the passes.
"""

import time
from collections.abc import Iterator

import numpy as np

from components.curate.apply_rules import apply_rules, rows_of
from components.curate.balance import balance, priorities
from components.curate.columns import Columns, DropReason, LabelColumn
from components.curate.labels.ask_labels import ask_labels
from components.curate.labels.stored_labels import Labels
from components.curate.require_rows import require_rows
from components.curate.settings import CurateSettings
from components.curate.step import CURATED
from components.curate.types.instruction_types import TypeRules, load_types, types_parent
from components.curate.write import Curated, write_curated
from components.models.generators.generator import open_generator
from components.models.reference import as_parent
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.rows import Instruction

Inputs = dict[str, Manifest | Parent]


def curate_instructions(
    library: Library, settings: CurateSettings, instructions: Manifest, benchmarks: Manifest
) -> Manifest:
    """Curate collected instructions into labelled ones.

    Args:
        library: where outputs are stored.
        settings: of the step.
        instructions: Instruction rows in `rows/`.
        benchmarks: Question rows in `rows/`, which the result must not overlap.

    Returns:
        The manifest: Labelled rows in `rows/`, Dropped rows in `dropped/`, and `report.json` (a CurateReport).

    Raises:
        SettingsError: the types file is invalid.
        GenerationError: the teacher is unreachable, or too many of its replies have no label.
        EmptyDataError: every row was dropped.
    """
    inputs: Inputs = {"instructions": instructions, "types": types_parent(settings.types_file)}
    inputs |= {"benchmarks": benchmarks} | _teacher_parent(settings)
    output = Output(library, CURATED, settings, inputs)

    def work() -> Manifest:
        rules = load_types(settings.types_file, settings.type_characters)
        return _Curation(library, settings, inputs, rules).run(output)

    return output.made(work)


def _teacher_parent(settings: CurateSettings) -> Inputs:
    """The teacher as an input, if it has files."""
    if settings.model_asked is None or settings.model_asked[0].is_remote:
        return {}
    return {"teacher": as_parent(settings.model_asked[0].model)}


class _Curation:
    """One run of the passes."""

    def __init__(self, library: Library, settings: CurateSettings, inputs: Inputs, rules: TypeRules) -> None:
        self._library, self._settings, self._inputs, self._rules = library, settings, inputs, rules
        instructions, benchmarks = inputs["instructions"], inputs["benchmarks"]
        assert isinstance(instructions, Manifest)
        assert isinstance(benchmarks, Manifest)
        self._instructions, self._benchmarks = instructions, benchmarks
        self._began = time.monotonic()

    def run(self, output: Output) -> Manifest:
        """Drop, label and balance; write the remaining rows. Raises EmptyDataError if there are none."""
        rows = rows_of(self._library, self._instructions)
        columns = apply_rules(self._library, self._settings, self._rules, rows, self._benchmarks)
        labels, column = self._label(columns)
        labelled = columns.kept()
        cap = self._balance(columns, column)
        require_rows(columns)
        curated = Curated(
            columns=columns,
            labels=column,
            labelled=labelled,
            cap=cap,
            control_text=labels.control_text,
            rules=self._rules,
        )
        size = self._settings.diversity_rows
        report = write_curated(output, rows("writing"), curated, seed=self._settings.seed, sample_rows=size)
        return output.finish(report.counts(), self._cost(labels))

    def _label(self, columns: Columns) -> tuple[Labels, LabelColumn]:
        column, rows = LabelColumn.of(len(columns)), columns.alive()
        if self._settings.model_asked is None:
            for row in rows.tolist():
                rule = self._rules.rules[columns.types[row]]
                column.put(row, (rule.group, rule.name))
            return Labels(), column
        labels = self._ask(columns, len(rows))
        for row in rows.tolist():
            label = labels.found.get(columns.ids[row])
            if label is not None:
                column.put(row, label)
            elif refusal := labels.refused.get(columns.ids[row]):
                columns.drop(row, DropReason.REFUSED, refusal)
            else:
                columns.drop(
                    row, DropReason.UNLABELLED, labels.missing.get(columns.ids[row], "no reply") or "empty reply"
                )
        return labels, column

    def _ask(self, columns: Columns, total: int) -> Labels:
        kept = columns.kept()

        def rows() -> Iterator[Instruction]:
            every = self._library.read_rows(self._instructions, Instruction)
            return (row for number, row in enumerate(every) if kept[number])

        inputs = {name: item for name, item in self._inputs.items() if name in ("instructions", "teacher")}
        return ask_labels(self._library, self._settings, inputs, rows=rows, total=total, open_generator=open_generator)

    def _balance(self, columns: Columns, column: LabelColumn) -> int:
        rows, settings = columns.alive(), self._settings
        if not len(rows):
            return 0
        numbers = column.numbers[rows].astype(np.int64)
        chosen = balance(
            column.primaries()[numbers] if settings.label_level == "primary" else numbers,
            priorities([columns.ids[row] for row in rows.tolist()], settings.seed),
            rare_below=settings.rare_below,
            cap=settings.cap,
            cap_of_median=settings.cap_of_median,
            maximum_rows=settings.maximum_rows,
        )
        for mask, reason in (
            (chosen.rare, DropReason.RARE_LABEL),
            (chosen.over_cap, DropReason.OVER_CAP),
            (chosen.over_maximum, DropReason.OVER_MAXIMUM),
        ):
            columns.drop_all(rows[mask], reason)
        return chosen.cap

    def _cost(self, labels: Labels) -> Cost:
        seconds = round(time.monotonic() - self._began, 3)
        asked = self._settings.model_asked
        if asked is None:
            return Cost(seconds=seconds)
        price = asked[0].price
        paid = labels.tokens_in * price.per_million_in + labels.tokens_out * price.per_million_out
        return Cost(
            seconds=seconds,
            tokens_in=labels.tokens_in,
            tokens_out=labels.tokens_out,
            price=round(paid / 1e6, 6),
            currency=price.currency,
        )
