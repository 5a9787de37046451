"""Read instructions from all sources into the output: good rows to `rows/`, bad ones to `rejected/`."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from components.collect.normalise import normalise
from components.collect.open_source import OpenSource, Reading, open_source
from components.collect.records import BadRowError, Broken, Found, Record
from components.collect.settings import AUTO, DatasetSettings, Source
from components.collect.shapes.registry import SHAPES, shape_of
from components.collect.shapes.shape import Shape
from components.shared.errors import EmptyDataError, InputError
from components.shared.log import Progress
from components.shared.manifest import Manifest
from components.shared.output import Output, RowWriter
from components.shared.rows import Instruction, Rejected
from components.shared.store import join

STEP = "collect"
VERSION = 1
PEEK = 100
"""Records that are looked at to find out a file's shape; more of them without one are rejected."""
SHOWN_REASONS = 5


@dataclass
class Tally:
    """What became of one source's records: rows made, records rejected by reason, and what its files are."""

    name: str
    files: int = 0
    rows: int = 0
    records: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    formats: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)
    examples: dict[str, Rejected] = field(default_factory=dict)

    @property
    def rejected_share(self) -> float:
        """Rejected records among all records."""
        return self.rejected.total() / max(self.records, 1)

    def reject(self, row: Rejected) -> None:
        """Count a rejected record."""
        self.rejected[row.reason] += 1
        self.examples.setdefault(row.reason, row)


def read_sources(root: str, settings: DatasetSettings) -> Manifest:
    """Collect instructions from every source.

    Args:
        root: the store's root URI.
        settings: the sources and what is allowed in them.

    Returns:
        Manifest of content `instruction/1`, with Instruction rows in `rows/`, Rejected rows in `rejected/` and
        `report.json`: for each source its files, formats, shapes, rows, and rejected records by reason.

    Raises:
        InputError: a source is not there or not readable, or too many of its records are rejected.
        EmptyDataError: no source has a good row.
        StoreError: a store refuses or cannot be reached.
    """
    sources = [open_source(source) for source in settings.sources]
    output = Output(root, STEP, VERSION, settings, {opened.source.name: opened.parent for opened in sources})
    if (done := output.manifest()) is not None:
        return done
    with output.writing():
        tallies = Writing(output, settings).read_all(sources)
        output.write_json("report.json", {"sources": [_report(tally) for tally in tallies]})
        return output.finish(Instruction.content, _counts(tallies))


class Writing:
    """The two parts of the output while they are written."""

    def __init__(self, output: Output, settings: DatasetSettings) -> None:
        self._settings = settings
        self._place = join(output.root, output.address, "rejected")
        self._rows, self._rejected = RowWriter(output), RowWriter(output, "rejected")
        self._progress = Progress(STEP, "instructions", None)

    def read_all(self, sources: list[OpenSource]) -> list[Tally]:
        """Read the sources one after the other."""
        tallies = [self._read(source) for source in sources]
        self._rows.close()
        self._rejected.close()
        self._progress.finish()
        if not self._rows.rows:
            raise EmptyDataError("no source has a single row", remedy="check the sources' URIs and limits")
        return tallies

    def _read(self, opened: OpenSource) -> Tally:
        tally = Tally(opened.source.name)
        for reading in opened.readings(self._settings.max_characters):
            tally.files += 1
            tally.formats.add(reading.format)
            self._read_file(opened.source, reading, tally)
            if self._is_full(opened.source, tally):
                break
        self._require_few_rejected(tally)
        return tally

    def _read_file(self, source: Source, reading: Reading, tally: Tally) -> None:
        place = f"{source.name}/{reading.name}"
        shape, records = _with_shape(source, reading.records())
        if shape is not None:
            tally.shapes.add(shape.name)
        for record in records:
            for row in self._rows_of(record, shape, source, place, tally):
                self._rows.add(row)
                tally.rows += 1
                if self._is_full(source, tally):
                    return
            self._progress.advance()

    def _rows_of(
        self, record: Record | Broken, shape: Shape | None, source: Source, place: str, tally: Tally
    ) -> list[Instruction]:
        """The record's instructions; none when it is rejected."""
        tally.records += 1
        try:
            if isinstance(record, Broken):
                raise BadRowError(record.reason, record.detail)
            return normalise(record, shape, source, place, self._settings.max_characters)
        except BadRowError as error:
            row = Rejected(source=place, line=record.line, reason=error.reason, detail=error.detail)
            self._rejected.add(row)
            tally.reject(row)
            return []

    @staticmethod
    def _is_full(source: Source, tally: Tally) -> bool:
        return source.limit is not None and tally.rows >= source.limit

    def _require_few_rejected(self, tally: Tally) -> None:
        if tally.rejected_share <= self._settings.max_rejected_share:
            return
        self._rejected.close()
        reasons = "; ".join(
            f"{count} {reason}, first in {tally.examples[reason].source} line {tally.examples[reason].line}"
            + (f" ({tally.examples[reason].detail})" if tally.examples[reason].detail else "")
            for reason, count in tally.rejected.most_common(SHOWN_REASONS)
        )
        raise InputError(
            f"source {tally.name!r}: {tally.rejected.total()} of {tally.records} records are rejected: {reasons}",
            rule=f"at most {self._settings.max_rejected_share:.1%} of a source's records may be rejected",
            remedy=f"repair the source, name its right `format` and `shape`, or raise `max_rejected_share`; all "
            f"rejected records are listed in {self._place}",
        )


def _with_shape(source: Source, records: Found) -> tuple[Shape | None, Iterator[Record | Broken]]:
    """The shape of a file's rows, by name or from the first record that has one, and all its records."""
    if source.shape != AUTO:
        return SHAPES[source.shape], records
    seen: list[Record | Broken] = []
    for record in itertools.islice(records, PEEK):
        seen.append(record)
        shape = shape_of(record.fields) if isinstance(record, Record) else None
        if shape is not None:
            return shape, itertools.chain(seen, records)
    return None, itertools.chain(seen, records)


def _counts(tallies: list[Tally]) -> dict[str, float]:
    counts: dict[str, float] = {
        "rows": sum(tally.rows for tally in tallies),
        "records": sum(tally.records for tally in tallies),
        "rejected": sum(tally.rejected.total() for tally in tallies),
        "sources": len(tallies),
    }
    for tally in tallies:
        counts[f"rows_{tally.name}"] = tally.rows
        counts[f"rejected_{tally.name}"] = tally.rejected.total()
    reasons = sum((tally.rejected for tally in tallies), Counter[str]())
    return counts | {f"rejected_as_{reason.replace('-', '_')}": count for reason, count in sorted(reasons.items())}


def _report(tally: Tally) -> dict[str, object]:
    return {
        "name": tally.name,
        "files": tally.files,
        "formats": sorted(tally.formats),
        "shapes": sorted(tally.shapes),
        "rows": tally.rows,
        "records": tally.records,
        "rejected": dict(sorted(tally.rejected.items())),
    }
