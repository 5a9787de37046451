"""Checkpoints in the store are complete or ignored, and a damaged one is skipped for the one before it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.shared.errors import StoreError
from components.shared.store.folder import FolderStore
from components.shared.store.store import Store
from components.train.checkpoints.checkpoint import (
    complete_steps,
    delete_checkpoints,
    fetch_newest,
    folder_key,
    part_key,
    random_state_name,
)
from components.train.checkpoints.mirror import Mirror
from components.train.ranks import Ranks
from tests.deadlines import next_line

REPOSITORY = Path(__file__).parents[3]
WEIGHTS = "global_step/weights.pt"
SLOW_UPLOAD = """
import sys, time
from pathlib import Path
from components.shared.store.folder import FolderStore
from components.train.checkpoints.mirror import Mirror
from components.train.ranks import Ranks
from components.shared.process.signals import sigterm_raises
from components.train.engine.training_process import end_of_grace

class SlowStore(FolderStore):
    def upload(self, path, key):
        super().upload(path, key)
        print("uploaded", flush=True)
        time.sleep(0.5)

mirror = Mirror(SlowStore(Path(sys.argv[1])), Ranks(0, 1, 0), 2, "train")
try:
    with sigterm_raises(end_of_grace):
        for step in (10, 20):
            folder = Path(sys.argv[2], f"checkpoint-{step}")
            folder.mkdir(parents=True)
            for name in ("a.pt", "b.pt"):
                mirror.snapshot.add({"step": step}, str(folder / name))
            mirror.add(step, folder)
        time.sleep(60)
finally:
    mirror.close()
"""


def ranks(rank: int = 0, world: int = 1) -> Ranks:
    return Ranks(rank=rank, world=world, local_rank=rank)


def hand_over(mirror: Mirror, folder: Path, step: int, of: Ranks) -> Path:
    """A checkpoint as DeepSpeed and the trainer leave it."""
    import torch

    local = folder / f"checkpoint-{step}"
    (local / "global_step").mkdir(parents=True, exist_ok=True)
    path = local / WEIGHTS.replace("weights", f"weights{of.rank}" if of.rank else "weights")
    mirror.snapshot.add({"weights": torch.full((3,), float(step))}, str(path))
    (local / random_state_name(of.rank, of.world)).write_bytes(b"random")
    (local / "trainer_state.json").write_text("{}")
    (local / "zero_to_fp32.py").write_text("print()")
    mirror.add(step, local)
    return path


def mirrored(store: Store, folder: Path, steps: list[int], of: Ranks | None = None) -> None:
    of = of or ranks()
    mirror = Mirror(store, of, 2, "train")
    for step in steps:
        path = hand_over(mirror, folder, step, of)
        wait_until(lambda path=path, step=step: store.exists(part_key(step, of.rank, of.world)) and not path.exists())
    mirror.close()


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(3000):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("the condition was not met in time")


def test_the_newest_are_kept_and_come_back(tmp_path: Path) -> None:
    import torch

    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [10, 20, 30])
    assert complete_steps(store) == [30, 20]
    found = fetch_newest(store, tmp_path / "back", "train")
    assert found is not None
    assert (found.step, found.ranks, found.folder) == (30, 1, tmp_path / "back" / "checkpoint-30")
    assert torch.load(found.folder / WEIGHTS)["weights"].tolist() == [30.0, 30.0, 30.0]
    assert (found.folder / "trainer_state.json").exists()


def test_code_is_not_mirrored(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [10])
    assert not [entry for entry in store.list() if entry.key.endswith(".py")]


def test_a_partly_uploaded_checkpoint_is_ignored_and_deleted(tmp_path: Path) -> None:
    """Two ranks were killed while they uploaded step 20; one rank goes on and writes a step 20 of its own."""
    store = FolderStore(tmp_path / "store")
    for rank in (0, 1):
        mirrored(store, tmp_path / "run", [10], ranks(rank, 2))
    mirrored(store, tmp_path / "run", [20], ranks(0, 2))
    found = fetch_newest(store, tmp_path / "back", "train")
    assert found is not None
    assert (found.step, found.ranks) == (10, 2)
    assert not list(store.list(folder_key(20)))


def test_parts_of_another_number_of_ranks_do_not_count(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [20], ranks(0, 2))
    store.write(part_key(20, 1, 3), b"{}")
    assert complete_steps(store) == []


def test_all_ranks_parts_make_a_checkpoint_and_one_alone_writes_what_they_share(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    for rank in (1, 0):
        assert complete_steps(store) == []
        mirrored(store, tmp_path / f"machine{rank}", [10], ranks(rank, 2))
        assert store.exists(f"{folder_key(10)}/trainer_state.json") == (rank == 0)
    assert complete_steps(store) == [10]


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_checkpoint_is_skipped(tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [10, 20])
    key = f"{folder_key(20)}/{WEIGHTS}"
    store.delete(key)
    if damage == "changed":
        store.write(key, b"weights of 2!")
    found = fetch_newest(store, tmp_path / "back", "train")
    assert found is not None
    assert found.step == 10
    assert "skipping checkpoint 20" in capsys.readouterr().err


def test_a_store_that_cannot_be_reached_deletes_nothing(tmp_path: Path) -> None:
    class Unreachable(FolderStore):
        def download(self, key: str, path: Path) -> None:
            raise StoreError("503 Slow Down")

    mirrored(FolderStore(tmp_path / "store"), tmp_path / "run", [10])
    with pytest.raises(StoreError, match="503"):
        fetch_newest(Unreachable(tmp_path / "store"), tmp_path / "back", "train")
    assert complete_steps(FolderStore(tmp_path / "store")) == [10]


def test_a_store_that_fails_does_not_stop_the_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").write_text("a file where the store's folder should be")
    mirror = Mirror(FolderStore(tmp_path / "store"), ranks(), 2, "train-sft")
    for step in (10, 20):
        trainers = hand_over(mirror, tmp_path / "run", step, ranks()).parents[1] / "trainer_state.json"
        wait_until(lambda trainers=trainers: not trainers.exists())
    mirror.close()
    log = capsys.readouterr().err
    assert "[train-sft] checkpoint 10 is not in the store" in log
    assert "[train-sft] checkpoint 20 is not in the store" in log


def test_all_can_be_deleted(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [10, 20])
    store.write("model/config.json", b"{}")
    delete_checkpoints(store)
    assert [entry.key for entry in store.list()] == ["model/config.json"]


def test_on_sigterm_the_upload_in_progress_completes_and_no_other_starts(tmp_path: Path) -> None:
    """A pod that is evicted has half a minute; the checkpoint after it is not uploaded."""
    given = [sys.executable, "-c", SLOW_UPLOAD, str(tmp_path / "store"), str(tmp_path / "run")]
    with subprocess.Popen(given, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert next_line(process.stdout) == "uploaded\n"
        os.kill(process.pid, signal.SIGTERM)
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert complete_steps(FolderStore(tmp_path / "store")) == [10]
