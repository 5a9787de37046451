"""The files at the output's address.

written/00007.jsonl.gz        what the teacher wrote about the problems of slice 7; it exists = the slice is finished
critiques/00007.jsonl.gz      the diagnoses and corrections of slice 7, with what became of each
sft/diagnosis/00007.jsonl.gz  the diagnoses of slice 7 to learn, if any; so the corrected solutions in sft/repair/
sft/trace/00000.jsonl.gz      the traces of bridge, in shards of their own; so its rows of replay in sft/replay/
dropped/00007.jsonl.gz        the unsolved problems of slice 7 that have neither, if any
"""

from collections.abc import Iterable, Sequence

from components.critique.critiqued_attempt import WrittenCritiques
from components.shared.outputs.manifest import Shard
from components.shared.outputs.shards import ROWS_PER_SHARD
from components.shared.outputs.slice_files import SliceFiles
from components.shared.rollout_rows import Critique
from components.shared.rows import Dropped, SftRow
from components.shared.store.store import Store

WRITTEN, CRITIQUES, SFT, DROPPED = "written", "critiques", "sft", "dropped"


class CritiqueShards:
    """The slices of one output, and what is made of them; `shards` are the files that belong to the output."""

    def __init__(self, store: Store) -> None:
        self._files = SliceFiles(store, (WRITTEN,))
        self.shards: list[Shard] = []

    def done(self) -> set[int]:
        """The numbers of the slices that the teacher is finished with."""
        return self._files.numbers(WRITTEN)

    def write_slice(self, index: int, problems: Sequence[WrittenCritiques]) -> None:
        """Write what the teacher wrote about a slice."""
        self._files.write(WRITTEN, index, problems)

    def read_slice(self, index: int) -> list[WrittenCritiques]:
        """What the teacher wrote about a slice. Raises DamagedError, after which it is put together again."""
        return self._files.read(WRITTEN, index, WrittenCritiques)[0]

    def discard(self, index: int) -> None:
        """Delete a slice, so that the next run asks for what it lacks."""
        self._files.discard(index)

    def add_critiques(self, index: int, rows: Sequence[Critique]) -> None:
        """Write the critiques of a slice."""
        self.shards.append(self._files.write(CRITIQUES, index, rows))

    def add_dropped(self, index: int, rows: Sequence[Dropped]) -> None:
        """Write the problems that have no critique to learn, if there are any."""
        if rows:
            self.shards.append(self._files.write(DROPPED, index, rows))

    def add_sft(self, index: int, rows: Sequence[SftRow]) -> None:
        """Write rows to learn, each kind apart from the others."""
        for kind in sorted({row.kind for row in rows}):
            some = [row for row in rows if row.kind == kind]
            self.shards.append(self._files.write(f"{SFT}/{kind}", index, some))

    def add_bridged(self, rows: Iterable[SftRow]) -> None:
        """Write the rows of bridge, a shard in memory at a time."""
        index, waiting = 0, list[SftRow]()
        for row in rows:
            waiting.append(row)
            if len(waiting) == ROWS_PER_SHARD:
                self.add_sft(index, waiting)
                index, waiting = index + 1, []
        self.add_sft(index, waiting)

    def clean(self) -> None:
        """Delete what is needed only while a job is in progress."""
        self._files.clean(WRITTEN)
