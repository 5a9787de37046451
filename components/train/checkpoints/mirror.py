"""Uploads each process's files of a checkpoint to the store while training continues."""

import queue
import threading
from pathlib import Path

from components.shared.errors import StoreError
from components.shared.log import say
from components.shared.outputs.digest import digest_file
from components.shared.outputs.manifest import Shard
from components.shared.store.store import Store
from components.train.checkpoints.checkpoint import (
    Part,
    delete_older,
    folder_key,
    part_key,
    random_state_name,
)
from components.train.checkpoints.snapshot import Snapshot
from components.train.ranks import Ranks

COMMON_FILES = ("latest", "scheduler.pt", "trainer_state.json")
"""Written by the first process alone, beside the snapshot's files and each process's own random state."""


class Mirror:
    """Writes and uploads one process's files in the background, one checkpoint at a time, then deletes them locally.

    No process waits for another, on this machine or elsewhere: a checkpoint is complete when the last of them is done.
    One more may wait, in memory; training waits before it makes a third.
    """

    def __init__(self, store: Store, ranks: Ranks, kept: int, task: str) -> None:
        self.snapshot = Snapshot()
        self._store, self._ranks, self._kept, self._task = store, ranks, kept, task
        self._waiting: queue.Queue[tuple[int, Path] | None] = queue.Queue(maxsize=1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def add(self, step: int, folder: Path) -> None:
        """Hand over the snapshot, and the folder in which the trainer wrote the rest."""
        self.snapshot.hand_over()
        self._waiting.put((step, folder))

    def close(self) -> None:
        """Stop after the upload in progress: a waiting checkpoint is no longer needed, or there is no time for it."""
        self._ended.set()
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if not self._ended.is_set():
                self._mirror(*item)

    def _mirror(self, step: int, folder: Path) -> None:
        files = [*self.snapshot.paths, *self._trainers_files(folder)]
        try:
            self.snapshot.write()
            self._upload(step, folder, files)
            if self._ranks.is_main:
                delete_older(self._store, self._kept)
        except (StoreError, OSError, RuntimeError) as error:
            # Training continues: the next checkpoint may reach the store. torch raises RuntimeError for a full disk.
            say(self._task, f"checkpoint {step} is not in the store: {error}")
        finally:
            for path in files:
                path.unlink(missing_ok=True)

    def _trainers_files(self, folder: Path) -> list[Path]:
        mine = [random_state_name(self._ranks.rank, self._ranks.world), *(COMMON_FILES if self._ranks.is_main else ())]
        return [path for name in mine if (path := folder / name).exists()]

    def _upload(self, step: int, folder: Path, files: list[Path]) -> None:
        shards = []
        for path in files:
            name = path.relative_to(folder).as_posix()
            self._store.upload(path, f"{folder_key(step)}/{name}")
            shards.append(Shard(name=name, bytes=path.stat().st_size, digest=digest_file(path)))
        part = Part(step=step, ranks=self._ranks.world, files=tuple(shards))
        key = part_key(step, self._ranks.rank, self._ranks.world)
        self._store.write(key, part.model_dump_json(indent=1).encode())
