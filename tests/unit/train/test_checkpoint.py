"""Checkpoints in the store are whole or not there, and a damaged one is passed over for the one before it."""

import threading
from pathlib import Path

import pytest

from components.shared.errors import SettingsError
from components.shared.folder_store import FolderStore
from components.shared.store import Store
from components.train.checkpoint import Mirror, fetch_newest, folder_key, forget, whole_steps
from components.train.ranks import Ranks

TWO = Ranks(rank=0, world=2, local_rank=0, local_world=2)


def make_local(folder: Path, step: int) -> Path:
    """A checkpoint as the trainer leaves it."""
    local = folder / f"checkpoint-{step}"
    (local / "global_step").mkdir(parents=True)
    (local / "global_step" / "weights.pt").write_bytes(b"weights of %d" % step)
    (local / "trainer_state.json").write_text("{}")
    (local / "zero_to_fp32.py").write_text("print()")
    return local


def mirrored(store: Store, folder: Path, steps: list[int], kept: int = 2) -> None:
    mirror = Mirror(store, TWO, kept, "train")
    for step in steps:
        mirror.add(step, make_local(folder, step))
        wait_for(store, step)
    mirror.close()


def wait_for(store: Store, step: int) -> None:
    for _ in range(500):
        if step in whole_steps(store):
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"checkpoint {step} never became whole")


def test_the_newest_are_kept_and_come_back(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [10, 20, 30])
    assert whole_steps(store) == [30, 20]
    found = fetch_newest(store, tmp_path / "back", TWO, "train")
    assert found == (30, tmp_path / "back" / "checkpoint-30")
    assert (found[1] / "global_step" / "weights.pt").read_bytes() == b"weights of 30"
    assert not (tmp_path / "run" / "checkpoint-30").exists()


def test_code_is_not_mirrored(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [10])
    assert not [entry for entry in store.list() if entry.key.endswith(".py")]


def test_a_half_uploaded_checkpoint_is_none(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [10, 20])
    store.delete(f"{folder_key(20)}/part-0-of-1.json")
    found = fetch_newest(store, tmp_path / "back", TWO, "train")
    assert found is not None
    assert found[0] == 10


def test_all_machines_parts_make_a_checkpoint(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    for node in (0, 1):
        ranks = Ranks(rank=2 * node, world=4, local_rank=0, local_world=2)
        assert whole_steps(store) == []
        mirror = Mirror(store, ranks, 2, "train")
        mirror.add(10, make_local(tmp_path / f"node{node}", 10))
        while not store.exists(f"{folder_key(10)}/part-{node}-of-2.json"):
            threading.Event().wait(0.01)
        mirror.close()
    assert whole_steps(store) == [10]


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [10, 20])
    key = f"{folder_key(20)}/global_step/weights.pt"
    store.delete(key)
    if damage == "changed":
        store.write(key, b"weights of 2!")
    found = fetch_newest(store, tmp_path / "back", TWO, "train")
    assert found is not None
    assert found[0] == 10
    assert "passing over checkpoint 20" in capsys.readouterr().err


def test_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [10])
    four = Ranks(rank=0, world=4, local_rank=0, local_world=4)
    with pytest.raises(SettingsError, match="was made by 2 processes, now there are 4"):
        fetch_newest(store, tmp_path / "back", four, "train")


def test_a_store_that_fails_does_not_stop_the_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").write_text("a file where the store's folder should be")
    mirror = Mirror(FolderStore(tmp_path / "store"), TWO, 2, "train-sft")
    local = make_local(tmp_path / "run", 10)
    mirror.add(10, local)
    while local.exists():
        threading.Event().wait(0.01)
    mirror.close()
    assert "[train-sft] checkpoint 10 is not in the store" in capsys.readouterr().err


def test_all_can_be_forgotten(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    mirrored(store, tmp_path / "run", [10, 20])
    store.write("model/config.json", b"{}")
    forget(store)
    assert [entry.key for entry in store.list()] == ["model/config.json"]
