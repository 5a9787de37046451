"""Tokenized rows in an Arrow file that the processes of a machine map into memory, so that they hold it once.

A row is lists of int32 token ids and single values by column name. An Arrow stream is what `datasets` maps, too.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow

ROWS_PER_BATCH = 1000
"""Rows of a record batch: at most that many examples are in memory while a table is written."""

SomeExample = TypeVar("SomeExample")
ToColumns = Callable[[Sequence[SomeExample]], dict[str, Any]]
"""Columns of some examples, by name."""


class BatchStream:
    """An Arrow stream that takes columns batch by batch; the first one gives it its schema. Call `close` at the end.

    Args:
        sink: a path, or a buffer of pyarrow's.
    """

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._stream: Any = None

    def write(self, columns: dict[str, Any]) -> None:
        """Write a batch: of ROWS_PER_BATCH rows, the last one of what is left."""
        batch = pyarrow.RecordBatch.from_pydict(columns)
        if self._stream is None:
            self._stream = pyarrow.ipc.new_stream(self._sink, batch.schema)
        self._stream.write_batch(batch)

    def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            self._stream.close()


class TableWriter(Generic[SomeExample]):
    """Writes examples as an Arrow stream while they are made; call `close` at the end.

    Args:
        sink: a path, or a buffer of pyarrow's.
        columns: the columns of a batch of examples.
    """

    def __init__(self, sink: Any, columns: ToColumns[SomeExample]) -> None:
        self._stream, self._columns = BatchStream(sink), columns
        self._waiting: list[SomeExample] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, example: SomeExample) -> None:
        """Add an example; a full batch is written at once."""
        self._waiting.append(example)
        self._rows += 1
        if len(self._waiting) == ROWS_PER_BATCH:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        if self._waiting:
            self._flush()
        self._stream.close()

    def _flush(self) -> None:
        self._stream.write(self._columns(self._waiting))
        self._waiting = []


class TokenColumn(Sequence[np.ndarray]):
    """A column of token ids: row i is an array of its ids, which is not copied.

    Attributes:
        lengths: tokens of each row, shape (rows,).
    """

    def __init__(self, column: pyarrow.ChunkedArray) -> None:
        self._batches = [(chunk.values.to_numpy(), chunk.offsets.to_numpy()) for chunk in column.chunks]
        self._starts = [0, *accumulate(len(offsets) - 1 for _, offsets in self._batches)]
        self.lengths = np.concatenate([np.diff(offsets) for _, offsets in self._batches]).astype(np.int64)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        number = range(len(self))[row]
        batch = bisect_right(self._starts, number) - 1
        values, offsets = self._batches[batch]
        place = number - self._starts[batch]
        return values[offsets[place] : offsets[place + 1]]


class TokenTable(Mapping[str, Any]):
    """Columns by name: a `TokenColumn`, or an array of single values, shape (rows,).

    Args:
        stream: the Arrow stream as `TableWriter` writes it: a file's path, or a buffer of pyarrow's in memory.
    """

    def __init__(self, stream: "Path | pyarrow.Buffer") -> None:
        self._stream = stream
        source = pyarrow.memory_map(str(stream)) if isinstance(stream, Path) else stream
        table = pyarrow.ipc.open_stream(source).read_all()
        self._columns = {name: _column(table[name]) for name in table.column_names}

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def dataset(self) -> Any:
        """The rows as a `datasets.Dataset` on the same file or buffer, without a copy."""
        from datasets import Dataset

        stream = self._stream
        return Dataset.from_file(str(stream)) if isinstance(stream, Path) else Dataset.from_buffer(stream)


def lengths_of(column: Sequence[Any]) -> np.ndarray:
    """Tokens of each row of a column, shape (rows,)."""
    return column.lengths if isinstance(column, TokenColumn) else np.array([len(ids) for ids in column], np.int64)


def token_column(rows: Any, name: str) -> TokenColumn:
    """A column of token ids of a `datasets.Dataset`, without making Python lists of them."""
    return TokenColumn(rows.select_columns(name).with_format("arrow")[:][name])


def _column(column: pyarrow.ChunkedArray) -> Any:
    return TokenColumn(column) if pyarrow.types.is_list(column.type) else column.to_numpy()
