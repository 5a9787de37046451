"""Read one source: every record becomes rows, or is rejected with a reason."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from components.collect.files.encodings import AUTO
from components.collect.files.records import BadRowError, Broken, Found, Record, Rejection
from components.collect.shapes.registry import SHAPES, shape_of
from components.collect.shapes.shape import RecordFields, Shape
from components.collect.source_settings import ReadingLimits, Source
from components.collect.sources.normalise import normalise
from components.collect.sources.open_source import OpenSource, RecordStream
from components.collect.sources.tally import SourceTally
from components.shared.errors import InputError
from components.shared.rows import Instruction, Rejected

PEEK = 100
"""Records that are examined to detect a file's shape. If none of them has one, all its records are rejected."""


@dataclass(frozen=True, slots=True)
class ReadRow:
    """An instruction, the fields of its record, and its place among the record's instructions (from 0).

    `template` is the name of its template where the source names a field for it, else empty.
    """

    row: Instruction
    fields: RecordFields
    number: int = 0
    template: str = ""


def read_source(
    opened: OpenSource, limits: ReadingLimits, tally: SourceTally, limit: int | None = None
) -> Iterator[ReadRow | Rejected]:
    """The rows of a source and its rejected records, in order.

    Args:
        opened: the source.
        limits: how long a row may be.
        tally: gets files, formats, shapes, records and ignored fields; the caller counts what it does with the rows.
        limit: rows to read, from the start; None for all.

    Raises:
        InputError: a file is damaged.
    """
    taken = 0
    for reading in opened.readings(limits.max_characters):
        tally.files += 1
        tally.formats.add(reading.format)
        for item in _read_file(opened.source, reading, limits, tally):
            yield item
            taken += isinstance(item, ReadRow)
            if limit is not None and taken >= limit:
                return


def too_many_rejected(tally: SourceTally, limits: ReadingLimits, place: str) -> InputError | None:
    """The error when too many of a source's records were rejected; `place` is where they are listed."""
    if tally.rejected_share <= limits.max_rejected_share:
        return None
    return InputError(
        tally.rejections(),
        rule=f"at most {limits.max_rejected_share:.1%} of a source's records may be rejected",
        remedy=f"{tally.remedies()}, or raise `max_rejected_share`; the rejected records are listed in {place}",
    )


def name_in(fields: RecordFields, field: str) -> str:
    """A record's value that names something: text, or a whole number as text; empty without one. Raises BadRowError."""
    value = fields.get(field)
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise BadRowError(Rejection.wrong_type, f"{field!r} is {type(value).__name__}, expected text or a whole number")
    return str(value)


def _read_file(
    source: Source, reading: RecordStream, limits: ReadingLimits, tally: SourceTally
) -> Iterator[ReadRow | Rejected]:
    place = f"{source.name}/{reading.name}"
    shape, records = _with_shape(source, reading.records())
    if shape is not None:
        tally.shapes.add(shape.name)
    for record in records:
        tally.records += 1
        try:
            yield from _rows_of(record, shape, source, place, limits, tally)
        except BadRowError as error:
            yield Rejected(source=place, line=record.line, reason=error.reason, detail=error.detail)


def _rows_of(  # noqa: PLR0917 - a record, and everything that decides how it is read
    record: Record | Broken, shape: Shape | None, source: Source, place: str, limits: ReadingLimits, tally: SourceTally
) -> list[ReadRow]:
    """The record's rows. Raises BadRowError when it is rejected."""
    if isinstance(record, Broken):
        raise BadRowError(record.reason, record.detail)
    template = _template(record.fields, source)
    rows = normalise(record, shape, source, place, limits.max_characters, ignored=tally.ignored)
    return [ReadRow(row, record.fields, number, template) for number, row in enumerate(rows)]


def _template(fields: RecordFields, source: Source) -> str:
    if not source.template_field:
        return ""
    if not (template := name_in(fields, source.template_field)):
        raise BadRowError(Rejection.missing_field, f"lacks {source.template_field!r}, the source's template_field")
    return template


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
