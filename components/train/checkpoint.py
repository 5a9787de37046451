"""Checkpoints in the store: uploaded while training goes on, whole or not there, newest first on the way back.

`checkpoints/STEP/…` holds the files that DeepSpeed and the trainer wrote; `checkpoints/STEP/part-NODE-of-NODES.json`
lists those of one machine with their SHA-256. A part is written last, and a checkpoint is whole with all its parts.
"""

import hashlib
import queue
import re
import shutil
import threading
from collections import defaultdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from components.shared.errors import DamagedError, SettingsError, StoreError
from components.shared.log import say
from components.shared.manifest import Shard
from components.shared.store import Store
from components.train.ranks import Ranks

CHECKPOINTS = "checkpoints"
_PART = re.compile(rf"{CHECKPOINTS}/(\d+)/part-(\d+)-of-(\d+)\.json")


class Part(BaseModel):
    """One machine's files of a checkpoint, and how many processes trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    ranks: int
    files: tuple[Shard, ...]


def folder_key(step: int) -> str:
    """Where the checkpoint of an optimizer step lies."""
    return f"{CHECKPOINTS}/{step:08d}"


def whole_steps(store: Store) -> list[int]:
    """Steps with a whole checkpoint, newest first."""
    parts: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for entry in store.list(f"{CHECKPOINTS}/"):
        if match := _PART.fullmatch(entry.key):
            parts[int(match[1])].add((int(match[2]), int(match[3])))
    return sorted((step for step, found in parts.items() if len(found) == max(of for _, of in found)), reverse=True)


def fetch_newest(store: Store, folder: Path, ranks: Ranks, task: str) -> tuple[int, Path] | None:
    """Download the newest whole checkpoint that is undamaged; None when there is none.

    Raises:
        SettingsError: it was made by another number of processes.
    """
    for step in whole_steps(store):
        try:
            return step, fetch(store, step, folder, ranks)
        except DamagedError as error:
            say(task, f"passing over checkpoint {step}: {error.problem}")
    return None


def fetch(store: Store, step: int, folder: Path, ranks: Ranks) -> Path:
    """Download one checkpoint and verify every file. Raises DamagedError, and SettingsError for other ranks."""
    target = folder / f"checkpoint-{step}"
    for part in _parts(store, step):
        if part.ranks != ranks.world:
            raise SettingsError(
                f"the checkpoint of step {step} at {store.uri} was made by {part.ranks} processes, now there are "
                f"{ranks.world}",
                rule="a training continues on the number of processes that it began with",
                remedy=f"run it on {part.ranks} processes, or delete {store.uri}/{CHECKPOINTS} to begin again",
            )
        for file in part.files:
            _download(store, f"{folder_key(step)}/{file.name}", target / file.name, file)
    return target


def _parts(store: Store, step: int) -> list[Part]:
    parts = []
    for entry in list(store.list(f"{folder_key(step)}/part-")):
        try:
            parts.append(Part.model_validate_json(store.read(entry.key)))
        except ValidationError as error:
            raise DamagedError(f"{entry.key} is damaged: {error.errors()[0]['msg']}") from error
    return parts


def _download(store: Store, key: str, path: Path, file: Shard) -> None:
    try:
        store.download(key, path)
    except StoreError as error:
        raise DamagedError(f"{key} cannot be read: {error.problem}") from error
    if _digest(path) != file.sha256:
        raise DamagedError(f"{key} is damaged: its sha256 is not the one that was recorded")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Mirror:
    """Uploads one machine's checkpoint folders in the background, one at a time, and deletes them here afterwards.

    At most one more waits; a third one makes training wait, so that the disk does not fill.
    """

    def __init__(self, store: Store, ranks: Ranks, kept: int, task: str) -> None:
        self._store, self._ranks, self._kept, self._task = store, ranks, kept, task
        self._waiting: queue.Queue[tuple[int, Path] | None] = queue.Queue(maxsize=1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def add(self, step: int, folder: Path) -> None:
        """Hand over a complete local checkpoint."""
        self._waiting.put((step, folder))

    def close(self) -> None:
        """End after the upload that is under way; what waits is no longer needed once training is over."""
        self._ended.set()
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if not self._ended.is_set():
                self._mirror(*item)
            shutil.rmtree(item[1], ignore_errors=True)

    def _mirror(self, step: int, folder: Path) -> None:
        try:
            self._upload(step, folder)
            if self._ranks.is_main:
                forget_older(self._store, self._kept)
        except (StoreError, OSError) as error:
            # Training goes on: the next checkpoint may reach the store.
            say(self._task, f"checkpoint {step} is not in the store: {error}")

    def _upload(self, step: int, folder: Path) -> None:
        files = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".py"):
            name = path.relative_to(folder).as_posix()
            self._store.upload(path, f"{folder_key(step)}/{name}")
            files.append(Shard(name=name, bytes=path.stat().st_size, sha256=_digest(path)))
        part = Part(step=step, ranks=self._ranks.world, files=tuple(files))
        key = f"{folder_key(step)}/part-{self._ranks.node}-of-{self._ranks.nodes}.json"
        self._store.write(key, part.model_dump_json(indent=1).encode())


def forget_older(store: Store, kept: int) -> None:
    """Delete all but the newest whole checkpoints; parts first, so that no half one looks whole."""
    whole = whole_steps(store)
    for step in whole[kept:]:
        forget(store, folder_key(step))


def forget(store: Store, prefix: str = CHECKPOINTS) -> None:
    """Delete what lies below a prefix, parts first."""
    keys = [entry.key for entry in store.list(f"{prefix}/")]
    for key in sorted(keys, key=lambda key: not _PART.fullmatch(key)):
        store.delete(key)
