"""A snapshot holds what a checkpoint held when it was taken, in memory that is reused."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

import components.train.checkpoints.snapshot as snapshot_module
from components.train.checkpoints.snapshot import Copies, Snapshot


def test_training_may_change_weights_while_the_snapshot_is_written(tmp_path: Path) -> None:
    weights = torch.ones(4)
    state = {"module": {"embedding": weights, "head": weights}, "groups": [(weights[:2], 3)], "name": "adam"}
    snapshot = Snapshot()
    snapshot.add(state, str(tmp_path / "state.pt"))
    snapshot.hand_over()
    assert snapshot.settle() >= 0
    weights.zero_()
    snapshot.write()
    read = torch.load(tmp_path / "state.pt")
    assert read["module"]["embedding"].tolist() == [1.0] * 4
    assert read["module"]["head"].data_ptr() == read["module"]["embedding"].data_ptr()
    assert read["groups"][0][0].tolist() == [1.0, 1.0]
    assert (read["groups"][0][1], read["name"]) == (3, "adam")


def test_the_next_checkpoint_waits_for_the_memory_of_the_one_before(tmp_path: Path) -> None:
    snapshot = Snapshot()
    snapshot.add({"step": torch.tensor(1)}, str(tmp_path / "state.pt"))
    snapshot.hand_over()
    adding = threading.Thread(target=snapshot.add, args=({"step": torch.tensor(2)}, str(tmp_path / "state.pt")))
    adding.start()
    adding.join(0.2)
    assert adding.is_alive()
    snapshot.write()
    adding.join(10)
    assert torch.load(tmp_path / "state.pt")["step"] == 1


def test_the_optimizer_waits_for_an_unfinished_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_copy = threading.Event()

    def late(pairs: list[tuple[Any, Any]], stream: Any) -> None:
        may_copy.wait(10)
        copy_now(pairs, stream)

    copy_now = snapshot_module._copy
    monkeypatch.setattr(snapshot_module, "_copy", late)
    weights, snapshot = torch.ones(2), Snapshot()
    snapshot.add({"weights": weights}, str(tmp_path / "state.pt"))
    snapshot.hand_over()

    def step() -> None:
        snapshot.settle()
        weights.zero_()

    stepping = threading.Thread(target=step)
    stepping.start()
    stepping.join(0.2)
    assert stepping.is_alive() and weights.tolist() == [1.0, 1.0]
    may_copy.set()
    stepping.join(10)
    snapshot.write()
    assert torch.load(tmp_path / "state.pt")["weights"].tolist() == [1.0, 1.0]
    assert snapshot.settle() == 0, "nothing to wait for"


def test_memory_is_reused_where_shape_and_type_are_equal() -> None:
    first = Copies([])
    first.of([torch.zeros(3), torch.zeros(2)])
    second = Copies(first.made)
    copied = second.of([torch.ones(3), torch.ones(5)])
    assert copied[0].data_ptr() == first.made[0].data_ptr()
    assert copied[1].shape == (5,)
    assert [source.tolist() for _, source in second.pairs] == [[1.0] * 3, [1.0] * 5]
