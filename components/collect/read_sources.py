"""Read instructions from all sources into the output: good rows to `rows/`, bad ones to `rejected/`."""

import itertools
from collections.abc import Iterator

from components.collect.encodings import AUTO
from components.collect.normalise import normalise
from components.collect.open_source import OpenSource, Reading, open_source
from components.collect.records import BadRowError, Broken, Found, Record
from components.collect.settings import DatasetSettings, Source
from components.collect.shapes.registry import SHAPES, shape_of
from components.collect.shapes.shape import Shape
from components.collect.tally import Tally, counts_of, unread_in_words
from components.shared.errors import EmptyDataError, InputError
from components.shared.log import Progress, say
from components.shared.manifest import Manifest
from components.shared.output import Output, RowWriter
from components.shared.rows import Instruction, Rejected
from components.shared.store import join

STEP = "collect"
VERSION = 2
PEEK = 100
"""Records that are looked at to find out a file's shape; more of them without one are rejected."""


def read_sources(root: str, settings: DatasetSettings) -> Manifest:
    """Collect instructions from every source.

    Args:
        root: the store's root URI.
        settings: the sources and what is allowed in them.

    Returns:
        Manifest of content `instruction/1`, with Instruction rows in `rows/`, Rejected rows in `rejected/` and
        `report.json`: for each source its files, formats, shapes, rows, rejected records by reason, labels, and the
        fields and files that are not read.

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
        output.write_json("report.json", {"sources": [tally.report() for tally in tallies]})
        return output.finish(Instruction.content, counts_of(tallies))


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
            why = "; ".join(tally.emptiness() for tally in tallies)
            raise EmptyDataError(
                f"no source has a single row: {why}",
                remedy=f"{tallies[0].remedies()}, and check the URIs"
                + (f"; all rejected records are listed in {self._place}" if self._rejected.rows else ""),
            )
        return tallies

    def _read(self, opened: OpenSource) -> Tally:
        tally = Tally(opened.source.name, opened.unread)
        if opened.unread:
            say(STEP, f"source {opened.source.name!r}: {unread_in_words(opened.unread)}")
        for reading in opened.readings(self._settings.max_characters):
            tally.files += 1
            tally.formats.add(reading.format)
            self._read_file(opened.source, reading, tally)
            if self._is_full(opened.source, tally):
                break
        self._require_few_rejected(tally)
        for line in tally.notes():
            say(STEP, line)
        return tally

    def _read_file(self, source: Source, reading: Reading, tally: Tally) -> None:
        place = f"{source.name}/{reading.name}"
        shape, records = _with_shape(source, reading.records())
        if shape is not None:
            tally.shapes.add(shape.name)
        for record in records:
            for row in self._rows_of(record, shape, source, place, tally):
                self._rows.add(row)
                tally.add(row)
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
            return normalise(record, shape, source, place, self._settings.max_characters, ignored=tally.ignored)
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
        listed = f"all rejected records are listed in {self._place}"
        raise InputError(
            tally.rejections(),
            rule=f"at most {self._settings.max_rejected_share:.1%} of a source's records may be rejected",
            remedy=f"{tally.remedies()}, or raise `max_rejected_share`; {listed}",
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
