"""The models of earlier epochs that a training hands over are those of the trainings that end there."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.store.folder import FolderStore
from components.train.checkpoints.checkpoint import complete_steps
from tests.integration.train.test_resume import kill_after_two_checkpoints, start_step

pytestmark = pytest.mark.timeout(1500)
WEIGHTS = "model/model.safetensors"


def files(manifest: Manifest) -> dict[str, str]:
    """Digests of the model's files."""
    return {shard.name: shard.digest for shard in manifest.shards if shard.name.startswith("model/")}


def other_store(bench: Any, tmp_path: Path) -> str:
    root = str(tmp_path / "other")
    shutil.copytree(bench.root, root)
    return root


def test_a_training_of_two_epochs_also_makes_the_training_of_one(
    bench: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = {"method": "sft", "epochs": 2, "scheduler": "cosine"}
    both = bench.train(**chosen, hand_over_epochs=(1,))
    capfd.readouterr()
    found = bench.train(**chosen, stop_after_epochs=1)
    assert "processes" not in capfd.readouterr().err, "it was found, not trained"

    alone = bench.train(**chosen, stop_after_epochs=1, root=other_store(bench, tmp_path))
    assert found.address == alone.address != both.address
    assert files(found) == files(alone) and files(found) != files(both)
    assert bench.losses(found) == bench.losses(alone, str(tmp_path / "other")) == bench.losses(both)[:12]
    assert found.digest == alone.digest
    assert (found.counts["steps"], both.counts["steps"]) == (12, 24)
    assert (found.cost.tokens_in, both.cost.tokens_in) == (alone.cost.tokens_in, both.counts["tokens"])
    assert found.settings["stop_after_epochs"] == 1 and found.counts["seconds_train"] > 0
    assert sorted(path.name for path in Path(bench.root, found.address).iterdir()) == [
        *("losses.jsonl", "manifest.json", "model")
    ]


def test_handing_over_does_not_change_the_training(bench: Any, tmp_path: Path) -> None:
    """Dropout draws the same numbers, although saving merges adapters."""
    chosen = {"method": "sft", "epochs": 2, "lora": {"rank": 4, "dropout": 0.2}, "launch": {"processes_per_node": 1}}
    handing = bench.train(**chosen, hand_over_epochs=(1,))
    plain = bench.train(**chosen, root=other_store(bench, tmp_path))
    assert handing.address == plain.address and handing.digest == plain.digest
    assert bench.losses(handing) == bench.losses(plain, str(tmp_path / "other"))
    early = Library(bench.root).load(bench.address(**chosen, stop_after_epochs=1))
    assert files(early).keys() == files(plain).keys() and files(early) != files(plain)


def test_a_training_killed_after_an_epoch_hands_over_what_an_uninterrupted_one_does(bench: Any, tmp_path: Path) -> None:
    """The killed one handed epoch 1 over; the next one asks for epoch 2 as well, which had passed."""
    chosen = {"method": "sft", "epochs": 10, "checkpoint_steps": 20}
    root = other_store(bench, tmp_path)
    running = start_step(root, bench.settings(**chosen, hand_over_epochs=(1,)), bench.selected, bench.student)
    store = kill_after_two_checkpoints(root, running)
    newest = complete_steps(store)[0]
    assert 24 < newest < 120, "it was killed after epoch 2, and before the end"
    early = Library(root).at(bench.address(**chosen, stop_after_epochs=1))
    assert early.exists("result.json") and not early.exists("manifest.json"), "the manifest is last"

    wanted = {**chosen, "hand_over_epochs": (1, 2, 9)}
    resumed, uninterrupted = bench.train(**wanted, root=root), bench.train(**wanted)
    assert resumed.digest == uninterrupted.digest
    assert bench.losses(resumed, root) == bench.losses(uninterrupted)
    for epoch in wanted["hand_over_epochs"]:
        ours, theirs = (
            Library(place).load(bench.address(**chosen, stop_after_epochs=epoch)) for place in (root, bench.root)
        )
        assert files(ours) == files(theirs)
    assert complete_steps(FolderStore(Path(root, resumed.address))) == []
