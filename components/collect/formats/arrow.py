"""Arrow: files of a data set that `save_to_disk` wrote (streams of batches), and Feather (with an index at the end).

A record's number is its row.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.collect.files.data_file import DataFile
from components.collect.files.records import Found
from components.collect.formats.columns import read_batches
from components.collect.formats.format import Format

INDEXED = b"ARROW1"


def read_arrow(file: DataFile, limit: int) -> Found:
    """Stream the file's rows.

    Raises:
        InputError: the file is not an Arrow file, or it is damaged.
    """
    return read_batches(file, "Arrow", _batches)


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        indexed = source.read(len(INDEXED)) == INDEXED
        source.seek(0)
        if indexed:
            with pyarrow.ipc.open_file(source) as table:
                yield from (table.get_batch(place) for place in range(table.num_record_batches))
        else:
            with pyarrow.ipc.open_stream(source) as table:
                yield from table


FORMAT = Format("arrow", (".arrow", ".feather"), read_arrow)
