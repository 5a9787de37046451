"""Curates instructions: filters, removes overlap and near-duplicates, labels, balances, and reports.

Passes stream the rows; only numbers and ids stay in memory. Their order, and why, is in the step's README.
"""

import time
from collections.abc import Iterator

import numpy as np

from components.curate.balance import balance, priorities
from components.curate.columns import Columns, LabelColumn, Reason
from components.curate.instruction_types import TypeRules, load_types, types_parent
from components.curate.labels import STEP, Labels, ask_labels
from components.curate.near_duplicates import find_near_duplicates
from components.curate.overlap import OverlapIndex
from components.curate.scan import scan
from components.curate.settings import CurateSettings
from components.curate.write import Curated, write_curated
from components.models.conversation.chat_template import REMEDY
from components.models.reference import as_parent
from components.models.teacher import open_teacher
from components.shared.errors import EmptyDataError
from components.shared.log import say, track
from components.shared.manifest import Cost, Manifest, Parent
from components.shared.output import Output
from components.shared.rows import Instruction, Labelled, Question
from components.shared.shards import count_rows, read_rows

VERSION = 2
REMEDIES = {
    Reason.TOO_SHORT: "lower minimum_tokens",
    Reason.TOO_LONG: "raise maximum_characters",
    Reason.EVALUATION_OVERLAP: "collect instructions that are not taken from the evaluation sets",
    Reason.NEAR_DUPLICATE: "collect more varied instructions, or lower distance",
    Reason.REFUSED: REMEDY,
    Reason.UNLABELLED: "make label_template suit the teacher",
    Reason.RARE_LABEL: "lower rare_below, count on label_level primary, or collect more instructions",
    Reason.OVER_CAP: "raise cap or cap_of_median",
    Reason.OVER_MAXIMUM: "raise maximum_rows",
}

Inputs = dict[str, Manifest | Parent]


def curate_instructions(root: str, settings: CurateSettings, instructions: Manifest, benchmarks: Manifest) -> Manifest:
    """Curate collected instructions into labelled ones.

    Args:
        root: the store's root URI.
        settings: of the step.
        instructions: Instruction rows in `rows/`.
        benchmarks: Question rows in `rows/`, which the result may not overlap.

    Returns:
        The manifest: Labelled rows in `rows/`, Dropped rows in `dropped/`, and `report.json` (a Report).

    Raises:
        SettingsError: the types file is wrong.
        TeacherError: the teacher can't be reached, or its replies hold no labels.
        EmptyDataError: no row is left.
    """
    inputs: Inputs = {"instructions": instructions, "types": types_parent(settings.types_file)}
    inputs |= {"benchmarks": benchmarks} | _teacher_parent(settings)
    output = Output(root, STEP, VERSION, settings, inputs)
    done = output.manifest()
    if done is not None:
        return done
    rules = load_types(settings.types_file, settings.type_characters)
    with output.writing():
        return _Curation(root, settings, inputs, rules).run(output)


def _teacher_parent(settings: CurateSettings) -> Inputs:
    """The teacher as an input, where its files are known."""
    if settings.labeller != "teacher" or settings.teacher is None or settings.teacher.backend == "openai":
        return {}
    return {"teacher": as_parent(settings.teacher.model)}


class _Curation:
    """One run of the passes."""

    def __init__(self, root: str, settings: CurateSettings, inputs: Inputs, rules: TypeRules) -> None:
        self._root, self._settings, self._inputs, self._rules = root, settings, inputs, rules
        instructions, benchmarks = inputs["instructions"], inputs["benchmarks"]
        assert isinstance(instructions, Manifest)
        assert isinstance(benchmarks, Manifest)
        self._instructions, self._benchmarks = instructions, benchmarks
        self._total = count_rows(instructions)
        self._began = time.monotonic()

    def run(self, output: Output) -> Manifest:
        """Drop, label and balance; write what is left. Raises EmptyDataError when nothing is."""
        columns = self._scan()
        self._drop_near_duplicates(columns)
        labels, column = self._label(columns)
        labelled = columns.kept()
        cap = self._balance(columns, column)
        self._require_rows(columns)
        curated = Curated(columns=columns, labels=column, labelled=labelled, cap=cap, rules=self._rules)
        size = self._settings.diversity_rows
        report = write_curated(output, self._rows("writing"), curated, seed=self._settings.seed, sample_rows=size)
        return output.finish(Labelled.content, report.counts(), self._cost(labels))

    def _rows(self, what: str) -> Iterator[Instruction]:
        return track(read_rows(self._root, self._instructions, Instruction), STEP, what, self._total)

    def _scan(self) -> Columns:
        settings = self._settings
        questions = (
            question
            for question in read_rows(self._root, self._benchmarks, Question)
            if question.split in settings.overlap_splits
        )
        index = OverlapIndex(
            questions,
            settings.overlap_tokens,
            settings.overlap_minimum_tokens,
            settings.overlap_common,
            run=settings.overlap_run,
            share=settings.overlap_share,
            passage=settings.overlap_passage,
        )
        columns = scan(self._rows("types and overlap"), settings, self._rules, index)
        drops = columns.drops()
        say(
            STEP,
            f"{len(columns)} instructions; {drops[Reason.EVALUATION_OVERLAP]} overlap one of {len(index)} questions",
        )
        return columns

    def _drop_near_duplicates(self, columns: Columns) -> None:
        rows = columns.alive()
        hashes, guards = columns.prints(rows)
        found = find_near_duplicates(hashes, guards, self._settings.distance)
        for place in np.flatnonzero(found.kept >= 0).tolist():
            kept = columns.ids[rows[found.kept[place]]]
            evidence = f"{kept} at distance {found.distance[place]}"
            columns.drop(int(rows[place]), Reason.NEAR_DUPLICATE, evidence)
        say(STEP, f"{columns.drops()[Reason.NEAR_DUPLICATE]} near-duplicates")

    def _label(self, columns: Columns) -> tuple[Labels, LabelColumn]:
        column, rows = LabelColumn.of(len(columns)), columns.alive()
        if self._settings.labeller == "rules":
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
                columns.drop(row, Reason.REFUSED, refusal)
            else:
                columns.drop(row, Reason.UNLABELLED, labels.missing.get(columns.ids[row], "no reply") or "empty reply")
        return labels, column

    def _ask(self, columns: Columns, total: int) -> Labels:
        kept = columns.kept()

        def rows() -> Iterator[Instruction]:
            every = read_rows(self._root, self._instructions, Instruction)
            return (row for number, row in enumerate(every) if kept[number])

        inputs = {name: item for name, item in self._inputs.items() if name in ("instructions", "teacher")}
        return ask_labels(self._root, self._settings, inputs, rows=rows, total=total, open_teacher=open_teacher)

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
            (chosen.rare, Reason.RARE_LABEL),
            (chosen.over_cap, Reason.OVER_CAP),
            (chosen.over_maximum, Reason.OVER_MAXIMUM),
        ):
            columns.drop_all(rows[mask], reason)
        return chosen.cap

    def _require_rows(self, columns: Columns) -> None:
        if columns.kept().any():
            return
        drops = {reason: count for reason, count in columns.drops().items() if count}
        if not drops:
            raise EmptyDataError("there are no instructions to curate", remedy="check the sources of collect")
        most = Reason(max(drops, key=drops.__getitem__))
        listed = ", ".join(f"{reason} {count}" for reason, count in drops.items())
        raise EmptyDataError(
            f"none of {len(columns)} instructions is left; dropped: {listed}",
            rule="at least one instruction has to be left",
            remedy=REMEDIES[most],
        )

    def _cost(self, labels: Labels) -> Cost:
        seconds = round(time.monotonic() - self._began, 3)
        if self._settings.labeller == "rules" or self._settings.teacher is None:
            return Cost(seconds=seconds)
        price = self._settings.teacher.price
        paid = labels.tokens_in * price.per_million_in + labels.tokens_out * price.per_million_out
        return Cost(
            seconds=seconds,
            tokens_in=labels.tokens_in,
            tokens_out=labels.tokens_out,
            price=round(paid / 1e6, 6),
            currency=price.currency,
        )
