"""Two processes that measure themselves on a model: shares change once one of them becomes slower, on both alike."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.train.engine.share_by_speed import EARLY, WINDOW, time_own_work
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
    own_clock=None,
    take_load=lambda: sum(loads.pop() for _ in range(len(loads))),
)
shares = SpeedShares(trainer, order, parse_train_settings({"shares": "speed"}), "train-it", ranks)
shares.begin(1)
rate, took = shares._measured.forward, []
# From the second window on, the second rank's passes take four times as long as when it was measured.
trainer.clock = SimpleNamespace(take=lambda: sum(took.pop() for _ in range(len(took))))
if sys.argv[3:]:
    own, passes = [], shares._measured.both
    trainer.own_clock = SimpleNamespace(take=lambda: sum(own.pop() for _ in range(len(own))))
for step in range(3 * WINDOW):
    order.divided(step)
    loads.append(order.load)
    took.append(order.load / rate * (4 if rank == 1 and step >= WINDOW else 1))
    if trainer.own_clock:
        # The second rank's passes are what they were, and it takes as long again beside those of its first steps.
        took[-1] = order.load / rate
        own.append(order.load / passes + (float(sys.argv[3]) / passes if rank == 1 else 0))
    shares.after_step(step + 1)
print(json.dumps({"records": trainer.state.log_history, "counts": trainer.counts}))
torch.distributed.destroy_process_group()
"""


def run_ranks(folder: Path, *given: str) -> dict[str, Any]:
    """What both ranks have recorded, alike."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(folder / "store"), *given],
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
    found: dict[str, Any] = one
    return found


def test_shares_change_once_when_a_rank_becomes_slower(tmp_path: Path) -> None:
    one = run_ranks(tmp_path)
    measured, changed = (entry["shares"] for entry in one["records"])
    assert [record["reason"] for record in (measured, changed)] == ["measured", "changed"]
    assert changed["step"] == 2 * WINDOW + 1
    before, after = (record["shares"][1] / record["shares"][0] for record in (measured, changed))
    assert after == pytest.approx(before / 4, rel=1e-3)
    assert one["counts"]["shares_changed"] == 1 and one["counts"]["seconds_speeds"] >= 2


def test_what_a_rank_takes_beside_its_passes_counts_from_the_first_steps_on(tmp_path: Path) -> None:
    """As long as 80 positions take it: of 312 in a step, with equal speeds, it gets 40 fewer than an even share."""
    one = run_ranks(tmp_path, "80")
    measured, changed = (entry["shares"] for entry in one["records"])
    assert changed["step"] == EARLY[0] + 1
    fast, slow = changed["ranks"]
    assert fast["fixed_seconds"] == pytest.approx(0, abs=1e-9)
    assert slow["fixed_seconds"] * slow["tokens_a_second"] == pytest.approx(80)
    before = [rank["tokens_a_second"] for rank in measured["ranks"]]
    total = 312 + 80
    assert changed["shares"][0] == pytest.approx(before[0] / sum(before) * total / 312, abs=1e-5)


class Engine:
    """What is asked of DeepSpeed's engine."""

    def __init__(self, stage: int, overlaps: bool) -> None:
        self.zero_optimization_stage, self.zero_overlap_comm = lambda: stage, lambda: overlaps
        self.at_boundary, self.reduced = False, 0

    def is_gradient_accumulation_boundary(self) -> bool:
        """Whether this pass is the step's last."""
        return self.at_boundary

    def allreduce_gradients(self) -> None:
        """Called in every pass."""
        self.reduced += 1


@pytest.mark.parametrize(
    ("stage", "overlaps", "timed"), [(0, True, True), (1, False, True), (1, True, False), (2, False, False)]
)
def test_own_work_is_timed_to_the_reduction_where_no_pass_waits(stage: int, overlaps: bool, timed: bool) -> None:
    trainer: Any = SimpleNamespace(own_clock=None)
    engine = Engine(stage, overlaps)
    time_own_work(trainer, engine)
    assert (trainer.own_clock is not None) == timed
    if timed:
        trainer.own_clock.start()
        engine.allreduce_gradients()
        assert trainer.own_clock.take() == 0, "the first pass of two is not the end"
        engine.at_boundary = True
        engine.allreduce_gradients()
        assert trainer.own_clock.take() > 0 and engine.reduced == 2
