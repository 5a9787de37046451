"""The slices at the output's address.

written/00007.jsonl.gz   what the teacher wrote for slice 7, checked; it exists = the first half is finished
bridged/00007.jsonl.gz   the problems of slice 7 with all texts and the choice; it exists = the slice is finished
sft/00007.jsonl.gz       the rows to learn, if any
dropped/00007.jsonl.gz   the problems that are not learnt, if any
"""

from collections.abc import Sequence

from components.bridge.taught_problem import WrittenProblem
from components.shared.outputs.manifest import Shard
from components.shared.outputs.slice_files import SliceFiles
from components.shared.rollout_rows import Bridged
from components.shared.rows import Dropped, SftRow
from components.shared.store.store import Store

WRITTEN, BRIDGED, SFT, DROPPED = "written", "bridged", "sft", "dropped"


class BridgeShards:
    """The slices of one output."""

    def __init__(self, store: Store) -> None:
        self._files = SliceFiles(store, (BRIDGED, SFT, DROPPED, WRITTEN))

    def written(self) -> set[int]:
        """The numbers of the slices whose first half is finished."""
        return self._files.numbers(WRITTEN)

    def done(self) -> set[int]:
        """The numbers of the finished slices."""
        return self._files.numbers(BRIDGED)

    def write_texts(self, index: int, problems: Sequence[WrittenProblem]) -> None:
        """Write what the teacher wrote for a slice."""
        self._files.write(WRITTEN, index, problems)

    def read_texts(self, index: int) -> list[WrittenProblem]:
        """What the teacher wrote for a slice. Raises DamagedError, after which it is put together again."""
        return self._files.read(WRITTEN, index, WrittenProblem)[0]

    def discard(self, index: int) -> None:
        """Delete a slice, so that the next run asks for what it lacks."""
        self._files.discard(index)

    def write(self, index: int, sft: Sequence[SftRow], rows: Sequence[Bridged], dropped: Sequence[Dropped]) -> None:
        """Write a slice; its problems come last, since they mark it as finished."""
        self._files.write_some(SFT, index, sft)
        self._files.write_some(DROPPED, index, dropped)
        self._files.write(BRIDGED, index, rows)

    def read(self, index: int) -> tuple[list[Bridged], list[Shard]]:
        """A slice's problems, and its files. Raises DamagedError, after which the slice is made again."""
        rows, shard = self._files.read(BRIDGED, index, Bridged)
        return rows, [shard, *self._files.described(index, (SFT, DROPPED))]

    def clean(self) -> None:
        """Delete what is needed only while a job is in progress."""
        self._files.clean(WRITTEN)
