"""Two processes that measure themselves on a model: shares change once one of them becomes slower, on both alike."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.train.engine.share_by_speed import WINDOW
from tests.deadlines import rest_of

pytestmark = pytest.mark.timeout(900)
REPOSITORY = Path(__file__).parents[3]
SECONDS = 400.0
RANK = """
import json, sys
from types import SimpleNamespace
import numpy as np
import torch
from datasets import Dataset
from components.models.forward.packed_model import PackedModel
from components.train.batches.balanced_order import BalancedOrder
from components.train.batches.budgeted_order import Limits, StepRows
from components.train.engine.share_by_speed import WINDOW, SpeedShares
from components.train.methods.registry import parse_train_settings
from components.train.objectives.sft import SftObjective
from components.train.ranks import Ranks
from tests.packed_models import make_packed_model

rank = int(sys.argv[1])
torch.set_num_threads(1)
store = torch.distributed.FileStore(sys.argv[2], 2)
torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
rows = 3 * WINDOW * 8
columns = {"input_ids": [list(range(5, 45))] * rows, "prompt_tokens": [8] * rows}
steps, ranks = StepRows(np.arange(rows), np.full(rows, 39), 8), Ranks(rank, 2, rank)
order = BalancedOrder(steps, Limits(200, 4), ranks, equally_many=False)
model, loads = make_packed_model("grouped_heads"), []
trainer = SimpleNamespace(
    model=model,
    packed=PackedModel(model),
    objective=SftObjective(),
    train_dataset=Dataset.from_dict(columns),
    args=SimpleNamespace(device=torch.device("cpu"), world_size=2),
    state=SimpleNamespace(log_history=[]),
    counts={"shares_changed": 0},
    clock=None,
    take_load=lambda: sum(loads.pop() for _ in range(len(loads))),
)
shares = SpeedShares(trainer, order, parse_train_settings({"shares": "speed"}), "train-it", ranks)
shares.begin(1)
rate, took = shares._measured.forward, []
# From the second window on, the second rank's passes take four times as long as when it was measured.
trainer.clock = SimpleNamespace(take=lambda: sum(took.pop() for _ in range(len(took))))
for step in range(3 * WINDOW):
    order.divided(step)
    loads.append(order.load)
    took.append(order.load / rate * (4 if rank == 1 and step >= WINDOW else 1))
    shares.after_step(step + 1)
print(json.dumps({"records": trainer.state.log_history, "counts": trainer.counts}))
torch.distributed.destroy_process_group()
"""


def test_shares_change_once_when_a_rank_becomes_slower(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path / "store")],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        one, other = (json.loads(rest_of(rank, SECONDS)[0].splitlines()[-1]) for rank in ranks)
    finally:
        for rank in ranks:
            rank.kill()
    assert one["records"] == other["records"], "all ranks deal alike"
    measured, changed = (entry["shares"] for entry in one["records"])
    assert [record["reason"] for record in (measured, changed)] == ["measured", "changed"]
    assert changed["step"] == 2 * WINDOW + 1
    before, after = (record["shares"][1] / record["shares"][0] for record in (measured, changed))
    assert after == pytest.approx(before / 4, rel=1e-3)
    assert one["counts"]["shares_changed"] == 1 and one["counts"]["seconds_speeds"] >= 2
