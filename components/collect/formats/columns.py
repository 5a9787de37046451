"""Records from batches of columns (Parquet, Arrow)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.collect.files.data_file import DataFile
from components.collect.files.records import Broken, Found, Record, Rejection, shorten
from components.shared.errors import InputError

BATCH_ROWS = 256


def read_batches(file: DataFile, format_name: str, batches: Callable[[Path], Iterator[Any]]) -> Found:
    """Stream the rows of a columnar file.

    Args:
        file: the file.
        format_name: the format's, for messages.
        batches: yields the batches of a local copy.

    Raises:
        InputError: the file is not of that format, or it is damaged.
    """
    import pyarrow

    number = 0
    with file.local_data() as path:
        try:
            for batch in batches(path):
                for record in batch_records(batch, number):
                    number = record.line
                    yield record
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(
                f"{file.uri} cannot be read as {format_name} after {number} rows: {shorten(str(error))}",
                remedy="copy the file again, or set the source's `format`",
            ) from error


def batch_records(batch: Any, before: int) -> Iterator[Record | Broken]:
    """The records of a batch, BATCH_ROWS in memory at a time; the first has the number `before` + 1."""
    number = before
    for start in range(0, batch.num_rows, BATCH_ROWS):
        for fields in _rows(batch.slice(start, BATCH_ROWS)):
            number += 1
            yield _record(number, fields)


def _rows(batch: Any) -> Iterator[dict[str, Any] | UnicodeDecodeError]:
    """The batch's rows; one by one if a text is not valid UTF-8."""
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
        return Broken(number, Rejection.invalid_unicode, shorten(str(fields)))
    return Record(number, fields)
