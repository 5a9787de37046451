"""Files of an output that is made in slices: `PART/00007.jsonl.gz` are the rows of slice 7 in one part."""

import gzip
import zlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from components.shared.errors import DamagedError
from components.shared.outputs.manifest import Shard
from components.shared.outputs.shards import SUFFIX, describe, pack_rows
from components.shared.store.store import Store

SomeModel = TypeVar("SomeModel", bound=BaseModel)


class SliceFiles:
    """The slices at one address.

    Args:
        store: at the address.
        parts: a slice's files, by part; the one whose existence marks it as finished comes first.
    """

    def __init__(self, store: Store, parts: Sequence[str]) -> None:
        self.store, self._parts = store, parts

    def numbers(self, part: str) -> set[int]:
        """The numbers of the slices that have this part."""
        names = (entry.key.rpartition("/")[2] for entry in self.store.list(f"{part}/"))
        return {int(name.removesuffix(SUFFIX)) for name in names}

    def write(self, part: str, index: int, rows: Iterable[BaseModel]) -> Shard:
        """Write one part of a slice."""
        name, (data, count) = _name(part, index), pack_rows(rows)
        self.store.write(name, data)
        return describe(name, data, count)

    def write_some(self, part: str, index: int, rows: Sequence[BaseModel]) -> None:
        """Write one part of a slice if it has rows; without any, there is no such file."""
        if rows:
            self.write(part, index, rows)
        else:
            self.store.delete(_name(part, index))

    def read(self, part: str, index: int, model: type[SomeModel]) -> tuple[list[SomeModel], Shard]:
        """One part of a slice, and its file. Raises DamagedError, after which the slice is made again."""
        name = _name(part, index)
        data = self.store.read(name)
        try:
            rows = [model.model_validate_json(line) for line in gzip.decompress(data).splitlines()]
        except (OSError, EOFError, zlib.error, ValidationError) as error:
            self.discard(index)
            raise DamagedError(
                f"{self.store.uri}/{name} was damaged: {error}",
                rule="a finished slice has all of its rows",
                remedy="run again: what models wrote is kept, and only this slice is made again",
            ) from error
        return rows, describe(name, data, len(rows))

    def described(self, index: int, parts: Iterable[str]) -> list[Shard]:
        """The files of a slice in these parts, where they exist."""
        names = [name for part in parts if self.store.exists(name := _name(part, index))]
        found = [(name, self.store.read(name)) for name in names]
        return [describe(name, data, len(gzip.decompress(data).splitlines())) for name, data in found]

    def discard(self, index: int) -> None:
        """Delete a slice, so that the next run makes what it lacks."""
        for part in self._parts:
            self.store.delete(_name(part, index))

    def clean(self, part: str) -> None:
        """Delete all files of a part that is needed only while a job is in progress."""
        for entry in list(self.store.list(f"{part}/")):
            self.store.delete(entry.key)


def _name(part: str, index: int) -> str:
    return f"{part}/{index:05d}{SUFFIX}"
