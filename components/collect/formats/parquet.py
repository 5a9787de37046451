"""Parquet: rows in batches, from a local copy of the file (its index is at the end).

A record's number is its row.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.collect.files.data_file import DataFile
from components.collect.files.records import Found
from components.collect.formats.columns import BATCH_ROWS, read_batches
from components.collect.formats.format import Format


def read_parquet(file: DataFile, limit: int) -> Found:
    """Stream the file's rows.

    Raises:
        InputError: the file is not a Parquet file, or it is damaged.
    """
    return read_batches(file, "Parquet", _batches)


def _batches(path: Path) -> Iterator[Any]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as table:
        yield from table.iter_batches(batch_size=BATCH_ROWS)


FORMAT = Format("parquet", (".parquet",), read_parquet)
