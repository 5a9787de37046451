"""What became of each source's records, in counts and in words."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from components.collect.encodings import EXAMPLES
from components.collect.records import Reason
from components.shared.rows import Instruction, Rejected

SHOWN_REASONS = 5
SHOWN_NAMES = 12
LISTED_FILES = 1000
"""Names of unread files in the report; their number is exact."""


@dataclass
class Tally:
    """One source: rows made, records rejected by reason, what its files are, and what of them is not read.

    `ignored` counts the records in which a field says something that nothing reads, `unread` gives files' reasons.
    """

    name: str
    unread: Mapping[str, str] = field(default_factory=dict)
    files: int = 0
    rows: int = 0
    records: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    formats: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)
    examples: dict[str, Rejected] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    labels: Counter[bool] = field(default_factory=Counter)

    @property
    def rejected_share(self) -> float:
        """Rejected records among all records."""
        return self.rejected.total() / max(self.records, 1)

    def add(self, row: Instruction) -> None:
        """Count a row."""
        self.rows += 1
        if row.desirable is not None:
            self.labels[row.desirable] += 1

    def reject(self, row: Rejected) -> None:
        """Count a rejected record."""
        self.rejected[row.reason] += 1
        self.examples.setdefault(row.reason, row)

    def rejections(self) -> str:
        """How many records are rejected and why, with the first of each reason."""
        reasons = "; ".join(
            f"{count} {reason}, first in {self.examples[reason].source} line {self.examples[reason].line}"
            + (f" ({self.examples[reason].detail})" if self.examples[reason].detail else "")
            for reason, count in self.rejected.most_common(SHOWN_REASONS)
        )
        return f"source {self.name!r}: {self.rejected.total()} of {self.records} records are rejected: {reasons}"

    def emptiness(self) -> str:
        """Why the source has no row."""
        if self.records:
            return self.rejections()
        return f"source {self.name!r}: no record in {self.files} file" + ("" if self.files == 1 else "s")

    def remedies(self) -> str:
        """What to do about the rejected records."""
        encoding = f", name the `encoding` (such as {EXAMPLES})" if self.rejected[Reason.invalid_unicode] else ""
        return f"repair the source, name its right `format` and `shape`{encoding}"

    def notes(self) -> list[str]:
        """Lines for the log: what is not read, and labels."""
        lines = []
        if self.ignored:
            names = [f"{name} ({count})" for name, count in self.ignored.most_common(SHOWN_NAMES)]
            more = len(self.ignored) - SHOWN_NAMES
            lines.append("fields that nothing reads: " + ", ".join(names) + (f" and {more} more" if more > 0 else ""))
        if self.labels:
            lines.append(f"responses labelled desirable: {self.labels[True]}, undesirable: {self.labels[False]}")
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
            "records": self.records,
            "rejected": dict(sorted(self.rejected.items())),
            "ignored_fields": dict(self.ignored.most_common()),
            "labels": {"desirable": self.labels[True], "undesirable": self.labels[False]},
            "unread_files": len(self.unread),
            "unread": dict(list(self.unread.items())[:LISTED_FILES]),
        }


def unread_in_words(unread: Mapping[str, str]) -> str:
    """Files that are not read, by name, each with the reason."""
    names = [f"{name} ({reason})" for name, reason in list(unread.items())[:SHOWN_NAMES]]
    more = len(unread) - SHOWN_NAMES
    return f"files that are not read: {', '.join(names)}" + (f" and {more} more" if more > 0 else "")


def counts_of(tallies: list[Tally]) -> dict[str, float]:
    """The manifest's counts."""
    counts: dict[str, float] = {
        "rows": sum(tally.rows for tally in tallies),
        "records": sum(tally.records for tally in tallies),
        "rejected": sum(tally.rejected.total() for tally in tallies),
        "sources": len(tallies),
        "labelled_desirable": sum(tally.labels[True] for tally in tallies),
        "labelled_undesirable": sum(tally.labels[False] for tally in tallies),
        "unread_files": sum(len(tally.unread) for tally in tallies),
    }
    for tally in tallies:
        counts[f"rows_{tally.name}"] = tally.rows
        counts[f"rejected_{tally.name}"] = tally.rejected.total()
        counts[f"ignored_fields_{tally.name}"] = len(tally.ignored)
    reasons = sum((tally.rejected for tally in tallies), Counter[str]())
    return counts | {f"rejected_as_{reason.replace('-', '_')}": count for reason, count in sorted(reasons.items())}
