"""A model in pipeline stages learns what it learns in one process: losses, gradient norms and weights are equal."""

from pathlib import Path
from typing import Any

import pytest
from tests.integration.train.test_shares import assert_equal_results, copied

pytestmark = pytest.mark.timeout(600)
SLOW = {"learning_rate": 1e-5, "micro_batch": 4, "global_batch": 16}
"""Weights move so little that rounding stays rounding until the last step."""
ALONE = {"launch": {"processes_per_node": 1}, "deepspeed": {"stage": 0}}


def in_stages(processes: int, **stages: Any) -> dict[str, Any]:
    """Settings of a pipeline."""
    return {
        "stages": {"micro_batches": 4, **stages},
        "deepspeed": {"stage": 0},
        "launch": {"processes_per_node": processes},
    }


def test_two_stages_train_as_one_process(bench: Any, tmp_path: Path) -> None:
    alone = bench.train(**SLOW, **ALONE)
    root = copied(bench, tmp_path / "stages")
    staged = bench.train(**SLOW, **in_stages(2), root=root)
    assert_equal_results(bench, alone, staged, root)
    assert staged.address == alone.address


def test_dump(bench: Any, tmp_path: Path, monkeypatch: Any) -> None:
    import shutil

    monkeypatch.setattr("components.train.train.delete_checkpoints", lambda *_: None)
    for stage in (0, 1):
        dp = bench.train(method="sft", checkpoint_steps=4, deepspeed={"stage": stage})
        shutil.copytree(Path(bench.root) / dp.address, f"/tmp/stages/dp{stage}", dirs_exist_ok=True)
