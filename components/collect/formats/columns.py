"""Records from batches of columns (Parquet, Arrow)."""

from collections.abc import Iterator
from typing import Any

from components.collect.records import Broken, Reason, Record, shorten

BATCH_ROWS = 256


def batch_records(batch: Any, before: int) -> Iterator[Record | Broken]:
    """The records of a batch, whose first row is the one after `before`; a few are in memory at a time."""
    number = before
    for start in range(0, batch.num_rows, BATCH_ROWS):
        for fields in _rows(batch.slice(start, BATCH_ROWS)):
            number += 1
            yield _record(number, fields)


def _rows(batch: Any) -> Iterator[dict[str, Any] | UnicodeDecodeError]:
    """The batch's rows; one by one where a text in it is no UTF-8."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for place in range(batch.num_rows):
            try:
                yield from batch.slice(place, 1).to_pylist()
            except UnicodeDecodeError as error:
                yield error


def _record(number: int, fields: dict[str, Any] | UnicodeDecodeError) -> Record | Broken:
    if isinstance(fields, UnicodeDecodeError):
        return Broken(number, Reason.invalid_unicode, shorten(str(fields)))
    return Record(number, fields)
