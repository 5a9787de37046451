"""Parquet: rows in batches, from a local copy of the file (its index stands at the end).

A record's number is its row.
"""

from collections.abc import Iterator
from typing import Any

from components.collect.files import DataFile
from components.collect.formats.format import Format
from components.collect.records import Broken, Found, Reason, Record, shorten
from components.shared.errors import InputError

BATCH_ROWS = 256


def read_parquet(file: DataFile, limit: int) -> Found:
    """Stream the file's rows.

    Raises:
        InputError: this is no Parquet file, or it is damaged.
    """
    import pyarrow
    from pyarrow import parquet

    number = 0
    with file.local() as path:
        try:
            with parquet.ParquetFile(path) as table:
                for batch in table.iter_batches(batch_size=BATCH_ROWS):
                    for fields in _rows(batch):
                        number += 1
                        yield _record(number, fields)
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(
                f"{file.uri} cannot be read as Parquet after {number} rows: {shorten(str(error))}",
                remedy="copy the file again, or name its real format in the source's `format`",
            ) from error


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


FORMAT = Format("parquet", (".parquet",), read_parquet)
