"""The last pass: write kept rows, dropped rows, and the report."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from components.curate.balance import priorities
from components.curate.columns import Columns, LabelColumn
from components.curate.diversity import measure_diversity
from components.curate.labels.label import Label
from components.curate.report import CountsBeforeAfter, CurateReport, DiversityBeforeAfter
from components.curate.text.token_hashes import Hashes, Mask, Positions
from components.curate.types.instruction_types import TypeRules
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import Dropped, Instruction, Labelled
from components.shared.text.words import tokenise


@dataclass(frozen=True)
class Curated:
    """The result of the passes.

    Attributes:
        columns: each row's type and fate.
        labels: each row's label.
        labelled: [rows] which rows were labelled.
        cap: the limit on a label's rows, 0 for none.
        control_text: label prompts whose text spells a control token.
        rules: the instruction types.
    """

    columns: Columns
    labels: LabelColumn
    labelled: Mask
    cap: int
    control_text: int
    rules: TypeRules

    def kind(self, row: int) -> str:
        """The name of a row's type."""
        return self.rules.rules[self.columns.types[row]].name

    def evidence(self, row: int) -> str:
        """The evidence for a drop: as recorded, else the row's label."""
        if row in self.columns.evidence:
            return self.columns.evidence[row]
        return " / ".join(self.labels.get(row)) if self.labels.numbers[row] >= 0 else ""


def write_curated(
    output: Output, rows: Iterable[Instruction], curated: Curated, *, seed: int, sample_rows: int
) -> CurateReport:
    """Write `rows/`, `dropped/` and `report.json`.

    Args:
        output: the output to write to.
        rows: all collected instructions, in order.
        curated: the result of the passes.
        seed: of the sample for diversity.
        sample_rows: the size of the samples before and after.
    """
    columns = curated.columns
    order = priorities(columns.ids, seed)
    size = min(sample_rows, len(columns.alive()))
    samples = _Sample(np.arange(len(columns)), order, size), _Sample(columns.alive(), order, size)
    kept, dropped = RowWriter(output, "rows"), RowWriter(output, "dropped")
    for number, row in enumerate(rows):
        for sample in samples:
            sample.offer(number, curated.kind(number), row)
        reason = columns.reason(number)
        if reason is None:
            kept.add(_labelled(row, curated.kind(number), curated.labels.get(number)))
        else:
            dropped.add(_dropped(row, reason, curated.evidence(number)))
    kept.close()
    dropped.close()
    report = _report(curated, samples)
    output.write_json("report.json", report)
    return report


class _Sample:
    """Types and tokens of the rows with the lowest priority values."""

    def __init__(self, rows: Positions, order: Hashes, size: int) -> None:
        self._chosen = set(rows[np.argsort(order[rows], kind="stable")[:size]].tolist())
        self.taken: list[tuple[str, list[str]]] = []

    def offer(self, number: int, kind: str, row: Instruction) -> None:
        """Add the row if it is in the sample."""
        if number in self._chosen:
            self.taken.append((kind, tokenise(row.instruction)))


def _labelled(row: Instruction, kind: str, label: Label) -> Labelled:
    return Labelled(**dict(row), type=kind, primary=label[0], secondary=label[1])


def _dropped(row: Instruction, reason: str, evidence: str) -> Dropped:
    return Dropped(id=row.id, source=row.source, line=row.line, reason=reason, evidence=evidence)


def _report(curated: Curated, samples: tuple[_Sample, _Sample]) -> CurateReport:
    kept = curated.columns.kept()
    types = [_type_counts(curated, mask) for mask in (np.ones_like(kept), kept)]
    labels = [_label_counts(curated.labels, mask) for mask in (curated.labelled, kept)]
    found = [measure_diversity(types[side], *labels[side], samples[side].taken) for side in (0, 1)]
    return CurateReport(
        rows_in=len(kept),
        rows_out=int(kept.sum()),
        drops=curated.columns.drops(),
        cap=curated.cap,
        control_text=curated.control_text,
        types=CountsBeforeAfter(before=types[0], after=types[1]),
        labels=CountsBeforeAfter(before=labels[0][0], after=labels[1][0]),
        pairs=CountsBeforeAfter(before=labels[0][1], after=labels[1][1]),
        diversity=DiversityBeforeAfter(before=found[0], after=found[1]),
    )


def _type_counts(curated: Curated, rows: Mask) -> dict[str, int]:
    rules = curated.rules.rules
    found = np.bincount(np.frombuffer(curated.columns.types, np.uint8)[rows], minlength=len(rules)).tolist()
    return {rule.name: count for rule, count in zip(rules, found, strict=True) if count}


def _label_counts(labels: LabelColumn, rows: Mask) -> tuple[dict[str, int], dict[str, int]]:
    """Rows by primary label, and by both levels."""
    primary: dict[str, int] = {}
    pairs: dict[str, int] = {}
    for (first, second), count in labels.counts(rows):
        if count:
            primary[first] = primary.get(first, 0) + count
            pairs[f"{first} / {second}"] = count
    return primary, pairs
