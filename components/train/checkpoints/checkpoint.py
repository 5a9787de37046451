"""Checkpoints in the store: complete or ignored, and read back newest first.

`checkpoints/STEP/…` holds the files that DeepSpeed and the trainer wrote; `checkpoints/STEP/part-RANK-of-RANKS.json`
lists those of one process with their SHA-256. A part is written last, and a checkpoint is complete with all its parts.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from components.shared.errors import DamagedError, NotFoundError
from components.shared.log import say
from components.shared.outputs.digest import digest_file
from components.shared.outputs.manifest import Shard
from components.shared.store.store import Store

CHECKPOINTS = "checkpoints"
_PART = re.compile(rf"{CHECKPOINTS}/(\d+)/part-(\d+)-of-(\d+)\.json")

_SHARD_OF_WEIGHTS = re.compile(r"zero_pp_rank_\d+_mp_rank_\d+_model_states\.pt")
"""DeepSpeed's name for a process's part of the weights, which only ZeRO stage 3 shards."""


_STAGE = "stage-{rank}-of-{ranks}.pt"
"""The file of one process's pipeline stages: weights and AdamW's moments by tensor name."""


class Part(BaseModel):
    """One process's files of a checkpoint, and how many processes trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    ranks: int
    files: tuple[Shard, ...]


@dataclass(frozen=True)
class Fetched:
    """A checkpoint on this machine.

    Attributes:
        step: its optimizer step.
        folder: where it is.
        ranks: how many processes made it.
        shards_optimizer: whether each process has a part of the optimizer's state (ZeRO stages 1 to 3).
        shards_weights: whether each process has a part of the weights (ZeRO stage 3).
        by_stages: whether pipeline stages wrote it.
    """

    step: int
    folder: Path
    ranks: int
    shards_optimizer: bool = True
    shards_weights: bool = False
    by_stages: bool = False

    def needs_conversion(self, ranks: int) -> bool:
        """Whether so many processes can load it only as a universal checkpoint."""
        return self.by_stages or (self.shards_optimizer and self.ranks != ranks)


def folder_key(step: int) -> str:
    """The key prefix of an optimizer step's checkpoint."""
    return f"{CHECKPOINTS}/{step:08d}"


def part_key(step: int, rank: int, ranks: int) -> str:
    """The key of the list of a process's files."""
    return f"{folder_key(step)}/part-{rank}-of-{ranks}.json"


def random_state_name(rank: int, ranks: int) -> str:
    """The trainer's name for the file of a process's random states."""
    return f"rng_state_{rank}.pth" if ranks > 1 else "rng_state.pth"


def stage_file_name(rank: int, ranks: int) -> str:
    """The name of the file of a process's stages."""
    return _STAGE.format(rank=rank, ranks=ranks)


def stage_files(folder: Path) -> list[Path]:
    """The files of all processes' stages in a checkpoint's folder; none where ranks have all layers."""
    return sorted(folder.glob(_STAGE.format(rank="*", ranks="*")))


def complete_steps(store: Store) -> list[int]:
    """Steps with a complete checkpoint, newest first."""
    parts: dict[tuple[int, int], int] = defaultdict(int)
    for entry in store.list(f"{CHECKPOINTS}/"):
        if match := _PART.fullmatch(entry.key):
            parts[int(match[1]), int(match[3])] += 1
    return sorted({step for (step, ranks), found in parts.items() if found == ranks}, reverse=True)


def fetch_newest(store: Store, folder: Path, task: str) -> Fetched | None:
    """Download the newest complete and undamaged checkpoint; None without one.

    Newer ones, partly uploaded or damaged, are deleted: another number of processes may write there next.
    """
    for step in complete_steps(store):
        try:
            found = fetch(store, step, folder)
        except DamagedError as error:
            say(task, f"skipping checkpoint {step}: {error.problem}")
            continue
        delete_newer(store, step)
        return found
    delete_checkpoints(store)
    return None


def fetch(store: Store, step: int, folder: Path) -> Fetched:
    """Download one checkpoint and verify every file. Raises DamagedError."""
    target = folder / f"checkpoint-{step}"
    parts = _parts(store, step)
    for part in parts:
        for file in part.files:
            _download(store, f"{folder_key(step)}/{file.name}", target / file.name, file)
    names = [file.name.rpartition("/")[2] for part in parts for file in part.files]
    return Fetched(
        step,
        target,
        parts[0].ranks,
        shards_optimizer=any(name.endswith("optim_states.pt") for name in names),
        shards_weights=any(_SHARD_OF_WEIGHTS.fullmatch(name) for name in names),
        by_stages=bool(stage_files(target)),
    )


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
    except NotFoundError as error:
        # Any other error is the store's own and may be temporary; the checkpoint is not the cause.
        raise DamagedError(f"{key} is missing") from error
    if digest_file(path) != file.digest:
        raise DamagedError(f"{key} is damaged: its digest differs from the recorded one")


def delete_older(store: Store, kept: int) -> None:
    """Delete all but the newest complete checkpoints."""
    for step in complete_steps(store)[kept:]:
        delete_checkpoints(store, folder_key(step))


def delete_newer(store: Store, step: int) -> None:
    """Delete everything of the steps after `step`."""
    folders = {entry.key.split("/")[1] for entry in store.list(f"{CHECKPOINTS}/")}
    for name in sorted(name for name in folders if name.isdigit() and int(name) > step):
        delete_checkpoints(store, f"{CHECKPOINTS}/{name}")


def delete_checkpoints(store: Store, prefix: str = CHECKPOINTS) -> None:
    """Delete everything below a prefix, parts first, so that no partly deleted checkpoint looks complete."""
    keys = [entry.key for entry in store.list(f"{prefix}/")]
    for key in sorted(keys, key=lambda key: not _PART.fullmatch(key)):
        store.delete(key)
