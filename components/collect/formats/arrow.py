"""Arrow: files of a data set that `save_to_disk` wrote (streams of batches), and Feather (with an index at the end).

A record's number is its row.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.collect.files import DataFile
from components.collect.formats.columns import batch_records
from components.collect.formats.format import Format
from components.collect.records import Found, shorten
from components.shared.errors import InputError

INDEXED = b"ARROW1"


def read_arrow(file: DataFile, limit: int) -> Found:
    """Stream the file's rows.

    Raises:
        InputError: this is no Arrow file, or it is damaged.
    """
    import pyarrow

    number = 0
    with file.local_data() as path:
        try:
            for batch in _batches(path):
                for record in batch_records(batch, number):
                    number = record.line
                    yield record
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(
                f"{file.uri} cannot be read as Arrow after {number} rows: {shorten(str(error))}",
                remedy="copy the file again, or name its real format in the source's `format`",
            ) from error


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        if path.open("rb").read(len(INDEXED)) == INDEXED:
            with pyarrow.ipc.open_file(source) as table:
                yield from (table.get_batch(place) for place in range(table.num_record_batches))
        else:
            with pyarrow.ipc.open_stream(source) as table:
                yield from table


FORMAT = Format("arrow", (".arrow", ".feather"), read_arrow)
