"""Counts of each source's records, for the report, the manifest and messages."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from components.collect.files.encodings import EXAMPLES
from components.collect.files.records import Rejection
from components.shared.rows import Instruction, Rejected

SHOWN_REASONS = 5
SHOWN_NAMES = 12
LISTED_FILES = 1000
"""Largest number of unread files that the report lists; their count is always exact."""


@dataclass
class SourceTally:
    """One source: rows, records rejected by reason, formats and shapes of its files, and what is not read.

    `ignored` counts, by field, the records with a value that nothing reads. `unread` maps unread files to reasons.
    `rows` are those to learn from; `held_out` are kept for evaluation, `held_out_repeated` times a question came again.
    `checked` counts both kinds of rows that have a check; `pairs` the rows with a second response, which is rejected.
    """

    name: str
    unread: Mapping[str, str] = field(default_factory=dict)
    files: int = 0
    rows: int = 0
    held_out: int = 0
    held_out_repeated: int = 0
    checked: int = 0
    records: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    formats: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)
    examples: dict[str, Rejected] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    labels: Counter[bool] = field(default_factory=Counter)
    pairs: int = 0

    @property
    def rejected_share(self) -> float:
        """Share of the records that are rejected, 0 to 1."""
        return self.rejected.total() / max(self.records, 1)

    def add(self, row: Instruction) -> None:
        """Count a row to learn from."""
        self.rows += 1
        self.checked += row.check is not None
        if row.rejected:
            self.pairs += 1
        elif row.desirable is not None:
            self.labels[row.desirable] += 1

    def hold_out(self, *, repeated: bool) -> None:
        """Count a row that is held out, or another one with the same question."""
        self.checked += 1
        self.held_out += not repeated
        self.held_out_repeated += repeated

    def ask(self) -> None:
        """Count a question of an evaluation set."""
        self.rows += 1

    def reject(self, row: Rejected) -> None:
        """Count a rejected record."""
        self.rejected[row.reason] += 1
        self.examples.setdefault(row.reason, row)

    def rejections(self) -> str:
        """How many records are rejected and why, with the first example of each reason."""
        reasons = "; ".join(
            f"{count} {reason}, first in {self.examples[reason].source} line {self.examples[reason].line}"
            + (f" ({self.examples[reason].detail})" if self.examples[reason].detail else "")
            for reason, count in self.rejected.most_common(SHOWN_REASONS)
        )
        return f"source {self.name!r}: {self.rejected.total()} of {self.records} records are rejected: {reasons}"

    def emptiness(self) -> str:
        """Why the source has no rows."""
        if self.records:
            return self.rejections()
        return f"source {self.name!r}: no records in {self.files} file" + ("" if self.files == 1 else "s")

    def remedies(self) -> str:
        """What to do about the rejected records."""
        encoding = f", set its `encoding` (such as {EXAMPLES})" if self.rejected[Rejection.invalid_unicode] else ""
        return f"repair the source, set the right `format` and `shape`{encoding}"

    def notes(self) -> list[str]:
        """Lines for the log: unread fields, and labels."""
        lines = []
        if self.ignored:
            names = [f"{name} ({count})" for name, count in self.ignored.most_common(SHOWN_NAMES)]
            more = len(self.ignored) - SHOWN_NAMES
            lines.append("fields that are not read: " + ", ".join(names) + (f" and {more} more" if more > 0 else ""))
        if self.labels:
            lines.append(f"responses labelled desirable: {self.labels[True]}, undesirable: {self.labels[False]}")
        if self.pairs:
            lines.append(f"rows with a preferred and a rejected response: {self.pairs}")
        if self.held_out:
            again = f", and {self.held_out_repeated} that repeat them" if self.held_out_repeated else ""
            lines.append(f"held out for evaluation: {self.held_out} of {self.checked} rows with a check{again}")
        if self.rejected and not self.rows:
            lines.append(self.rejections())
        return [line if line.startswith("source ") else f"source {self.name!r}: {line}" for line in lines]

    def report(self) -> dict[str, object]:
        """The source's part of `report.json`."""
        return {
            "name": self.name,
            "files": self.files,
            "formats": sorted(self.formats),
            "shapes": sorted(self.shapes),
            "rows": self.rows,
            "held_out": self.held_out,
            "held_out_repeated": self.held_out_repeated,
            "records": self.records,
            "rejected": dict(sorted(self.rejected.items())),
            "ignored_fields": dict(self.ignored.most_common()),
            "labels": {"desirable": self.labels[True], "undesirable": self.labels[False]},
            "pairs": self.pairs,
            "unread_files": len(self.unread),
            "unread": dict(list(self.unread.items())[:LISTED_FILES]),
        }


def unread_in_words(unread: Mapping[str, str]) -> str:
    """The unread files by name, each with the reason."""
    names = [f"{name} ({reason})" for name, reason in list(unread.items())[:SHOWN_NAMES]]
    more = len(unread) - SHOWN_NAMES
    return f"files not read: {', '.join(names)}" + (f" and {more} more" if more > 0 else "")


def counts_of(tallies: list[SourceTally]) -> dict[str, float]:
    """The manifest's counts."""
    counts: dict[str, float] = {
        "rows": sum(tally.rows for tally in tallies),
        "records": sum(tally.records for tally in tallies),
        "rejected": sum(tally.rejected.total() for tally in tallies),
        "held_out": sum(tally.held_out for tally in tallies),
        "held_out_repeated": sum(tally.held_out_repeated for tally in tallies),
        "sources": len(tallies),
        "labelled_desirable": sum(tally.labels[True] for tally in tallies),
        "labelled_undesirable": sum(tally.labels[False] for tally in tallies),
        "pairs": sum(tally.pairs for tally in tallies),
        "unread_files": sum(len(tally.unread) for tally in tallies),
    }
    for tally in tallies:
        counts[f"rows_{tally.name}"] = tally.rows
        counts[f"rejected_{tally.name}"] = tally.rejected.total()
        counts[f"ignored_fields_{tally.name}"] = len(tally.ignored)
    reasons = sum((tally.rejected for tally in tallies), Counter[str]())
    return counts | {f"rejected_as_{reason.replace('-', '_')}": count for reason, count in sorted(reasons.items())}
