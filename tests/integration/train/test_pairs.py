"""Methods on pairs train on two gloo ranks with sharded weights as on one rank without."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from components.train.train import summarise

pytestmark = pytest.mark.timeout(1500)
SETTINGS: dict[str, dict[str, Any]] = {
    "dpo": {"dpo": {"rpo_alpha": 0.5}},
    "orpo": {"learning_rate": 2e-3},  # with the trainer of simpo too
}


@pytest.mark.parametrize("method", SETTINGS)
def test_two_ranks_with_zero_3_train_as_one_with_zero_2(bench: Any, tmp_path: Path, method: str) -> None:
    chosen = {"method": method, **SETTINGS[method], "epochs": 2}
    shutil.copytree(bench.root, tmp_path / "one")
    two = bench.train(**chosen, deepspeed={"stage": 3})
    one = bench.train(**chosen, root=str(tmp_path / "one"), launch={"processes_per_node": 1})
    records, others = bench.losses(two), bench.losses(one, str(tmp_path / "one"))
    assert [record["step"] for record in records] == list(range(1, 25))
    for name in ("loss", "gradient_norm", "reward_margin", "chosen_log_prob", "reward_accuracy"):
        wanted = pytest.approx([record[name] for record in others], rel=1e-4, abs=1e-5)
        assert [record[name] for record in records] == wanted, name
    assert two.counts["reward_margin"] > records[0]["reward_margin"]
    assert "| rewards, chosen and rejected |" in summarise("train", two)
