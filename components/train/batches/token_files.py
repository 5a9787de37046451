"""Where the tokenized rows of a training are: made once on a machine, and mapped into memory by all its processes."""

import os
import shutil
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
from pydantic import BaseModel, ConfigDict, ValidationError

from components.train.batches.examples import Examples, SomeExample
from components.train.batches.token_table import BatchStream, TableWriter, ToColumns, TokenTable

ROWS = "rows.arrow"
TALLY = "tally.json"
ARRANGED = "arranged.arrow"
UNUSED_SECONDS = 2 * 24 * 3600.0
"""After this, tokens that no training has read are deleted when others are written."""

Build = Callable[[TableWriter[SomeExample]], Examples[SomeExample]]
"""Appends all examples to the writer, and returns what happened to the rows."""


class Tally(BaseModel):
    """What happened to the rows, and the bytes of the table that they became."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    counts: dict[str, float]
    notes: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Tokenized:
    """All tokenized rows of a training, in their own order; counts for the manifest, and notes for the log."""

    columns: TokenTable
    counts: dict[str, float]
    notes: tuple[str, ...]


class TokenFiles(ABC):
    """Makes the tables of a training; every process calls the same methods in the same order."""

    @abstractmethod
    def tokens(self, columns: ToColumns[SomeExample], build: Build[SomeExample]) -> Tokenized:
        """The table of all tokenized rows.

        Args:
            columns: the columns of a batch of examples.
            build: makes the examples, where they are not stored already.
        """

    @abstractmethod
    def arranged(self, batches: Iterable[dict[str, Any]]) -> TokenTable:
        """A table of batches of columns, such as rows in another order."""


class InMemory(TokenFiles):
    """For one process that keeps its tables in memory."""

    def tokens(self, columns: ToColumns[SomeExample], build: Build[SomeExample]) -> Tokenized:
        """Builds the table."""
        sink = pyarrow.BufferOutputStream()
        examples = _written(sink, columns, build)
        return Tokenized(TokenTable(sink.getvalue()), examples.counts, tuple(examples.notes()))

    def arranged(self, batches: Iterable[dict[str, Any]]) -> TokenTable:
        """Builds the table."""
        sink = pyarrow.BufferOutputStream()
        _write_batches(sink, batches)
        return TokenTable(sink.getvalue())


@dataclass(frozen=True)
class SharedFiles(TokenFiles):
    """For the processes of a machine: the first one writes files, and all map them.

    Attributes:
        cache: the folder of these rows' tokens, named by what makes them; another training finds them there.
        scratch: a folder of this training.
        writes: whether this process is the one that writes.
        barrier: waits for all processes.
        log: takes a line for the log.
    """

    cache: Path
    scratch: Path
    writes: bool
    barrier: Callable[[], None]
    log: Callable[[str], None]

    def tokens(self, columns: ToColumns[SomeExample], build: Build[SomeExample]) -> Tokenized:
        """Maps the table, which the first process of the machine builds if the cache lacks it."""
        if self.writes:
            if (tally := _complete(self.cache)) is None:
                self._fill_cache(columns, build)
            else:
                os.utime(self.cache)
                self.log(f"{tally.counts['rows']:,.0f} tokenized rows read from {self.cache}")
        self.barrier()
        tally = Tally.model_validate_json((self.cache / TALLY).read_bytes())
        return Tokenized(TokenTable(self.cache / ROWS), tally.counts, tally.notes)

    def arranged(self, batches: Iterable[dict[str, Any]]) -> TokenTable:
        """Maps the table, which the first process of the machine writes at each start: that takes seconds."""
        path = self.scratch / ARRANGED
        if self.writes:
            self.scratch.mkdir(parents=True, exist_ok=True)
            _write_batches(str(path), batches)
        self.barrier()
        return TokenTable(path)

    def _fill_cache(self, columns: ToColumns[SomeExample], build: Build[SomeExample]) -> None:
        """Write into a folder beside the cache's and rename it, so that a table with its name is complete."""
        self.cache.parent.mkdir(parents=True, exist_ok=True)
        _delete_unused(self.cache.parent)
        partial = self.cache.with_name(f"{self.cache.name}.{uuid.uuid4().hex}")
        partial.mkdir()
        try:
            examples = _written(str(partial / ROWS), columns, build)
            size = (partial / ROWS).stat().st_size
            tally = Tally(counts=examples.counts, notes=tuple(examples.notes()), bytes=size)
            (partial / TALLY).write_text(tally.model_dump_json())
            _sync(partial / ROWS)
            _rename(partial, self.cache)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _write_batches(sink: Any, batches: Iterable[dict[str, Any]]) -> None:
    """Write columns that are made batch by batch."""
    stream = BatchStream(sink)
    for columns in batches:
        stream.write(columns)
    stream.close()


def _written(sink: Any, columns: ToColumns[SomeExample], build: Build[SomeExample]) -> Examples[SomeExample]:
    writer = TableWriter(sink, columns)
    examples = build(writer)
    writer.close()
    return examples


def _complete(folder: Path) -> Tally | None:
    """What is known of a table that is complete: its bytes are those that were written."""
    try:
        tally = Tally.model_validate_json((folder / TALLY).read_bytes())
        return tally if (folder / ROWS).stat().st_size == tally.bytes else None
    except (FileNotFoundError, ValidationError):
        return None


def _rename(partial: Path, folder: Path) -> None:
    """Give a complete table its name, unless another training has completed the same one in the meantime."""
    if _complete(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        partial.rename(folder)
    except OSError:
        if _complete(folder) is None:
            raise


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _delete_unused(caches: Path) -> None:
    """Delete what no training has read for a while; one that has it mapped keeps its pages."""
    for folder in caches.iterdir():
        try:
            unused = time.time() - folder.stat().st_mtime > UNUSED_SECONDS
        except FileNotFoundError:
            continue  # another training has deleted it
        if unused:
            shutil.rmtree(folder, ignore_errors=True)
