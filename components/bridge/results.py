"""The slices at the output's address.

written/00007.jsonl.gz   what the teacher wrote for slice 7, checked; it exists = the first half is finished
bridged/00007.jsonl.gz   the problems of slice 7 with all texts and the choice; it exists = the slice is finished
sft/00007.jsonl.gz       the rows to learn, if any
dropped/00007.jsonl.gz   the problems that are not learnt, if any
"""

import gzip
import zlib
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from components.bridge.taught_problem import WrittenProblem
from components.shared.errors import DamagedError
from components.shared.outputs.manifest import Shard
from components.shared.outputs.shards import SUFFIX, describe, pack_rows
from components.shared.rollout_rows import Bridged
from components.shared.rows import Dropped, SftRow
from components.shared.store.store import Store

WRITTEN, BRIDGED, SFT, DROPPED = "written", "bridged", "sft", "dropped"

SomeModel = TypeVar("SomeModel", bound=BaseModel)


class BridgeShards:
    """The slices of one output."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def written(self) -> set[int]:
        """The numbers of the slices whose first half is finished."""
        return self._numbers(WRITTEN)

    def done(self) -> set[int]:
        """The numbers of the finished slices."""
        return self._numbers(BRIDGED)

    def write_texts(self, index: int, problems: Sequence[WrittenProblem]) -> None:
        """Write what the teacher wrote for a slice."""
        self.store.write(_name(WRITTEN, index), pack_rows(problems)[0])

    def read_texts(self, index: int) -> list[WrittenProblem]:
        """What the teacher wrote for a slice. Raises DamagedError, after which it is put together again."""
        return self._read(WRITTEN, index, WrittenProblem)[0]

    def discard(self, index: int) -> None:
        """Delete a slice, so that the next run asks for what it lacks."""
        for part in (BRIDGED, SFT, DROPPED, WRITTEN):
            self.store.delete(_name(part, index))

    def write(self, index: int, sft: Sequence[SftRow], rows: Sequence[Bridged], dropped: Sequence[Dropped]) -> None:
        """Write a slice; its problems come last, since they mark it as finished."""
        parts: dict[str, Sequence[BaseModel]] = {SFT: sft, DROPPED: dropped}
        for part, some in parts.items():
            if some:
                self.store.write(_name(part, index), pack_rows(some)[0])
            else:
                self.store.delete(_name(part, index))
        self.store.write(_name(BRIDGED, index), pack_rows(rows)[0])

    def read(self, index: int) -> tuple[list[Bridged], list[Shard]]:
        """A slice's problems, and its files. Raises DamagedError, after which the slice is made again."""
        rows, data = self._read(BRIDGED, index, Bridged)
        return rows, [describe(_name(BRIDGED, index), data, len(rows)), *self._described(index)]

    def clean(self) -> None:
        """Delete what is needed only while a job is in progress."""
        for entry in list(self.store.list(f"{WRITTEN}/")):
            self.store.delete(entry.key)

    def _described(self, index: int) -> list[Shard]:
        names = [name for part in (SFT, DROPPED) if self.store.exists(name := _name(part, index))]
        found = [(name, self.store.read(name)) for name in names]
        return [describe(name, data, len(gzip.decompress(data).splitlines())) for name, data in found]

    def _numbers(self, part: str) -> set[int]:
        names = (entry.key.rpartition("/")[2] for entry in self.store.list(f"{part}/"))
        return {int(name.removesuffix(SUFFIX)) for name in names}

    def _read(self, part: str, index: int, model: type[SomeModel]) -> tuple[list[SomeModel], bytes]:
        data = self.store.read(_name(part, index))
        try:
            return [model.model_validate_json(line) for line in gzip.decompress(data).splitlines()], data
        except (OSError, EOFError, zlib.error, ValidationError) as error:
            self.discard(index)
            raise DamagedError(
                f"{self.store.uri}/{_name(part, index)} was damaged: {error}",
                rule="a finished slice has all of its problems",
                remedy="run again: the teacher's replies are kept, and only this slice is made again",
            ) from error


def _name(part: str, index: int) -> str:
    return f"{part}/{index:05d}{SUFFIX}"
