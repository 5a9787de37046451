"""Parquet: rows in batches, from a local copy of the file (its index stands at the end).

A record's number is its row.
"""

from components.collect.files import DataFile
from components.collect.formats.columns import BATCH_ROWS, batch_records
from components.collect.formats.format import Format
from components.collect.records import Found, shorten
from components.shared.errors import InputError


def read_parquet(file: DataFile, limit: int) -> Found:
    """Stream the file's rows.

    Raises:
        InputError: this is no Parquet file, or it is damaged.
    """
    import pyarrow
    from pyarrow import parquet

    number = 0
    with file.local_data() as path:
        try:
            with parquet.ParquetFile(path) as table:
                for batch in table.iter_batches(batch_size=BATCH_ROWS):
                    for record in batch_records(batch, number):
                        number = record.line
                        yield record
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(
                f"{file.uri} cannot be read as Parquet after {number} rows: {shorten(str(error))}",
                remedy="copy the file again, or name its real format in the source's `format`",
            ) from error


FORMAT = Format("parquet", (".parquet",), read_parquet)
