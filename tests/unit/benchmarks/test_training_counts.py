"""What a training step costs beside TRL's, by counts on the same rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from benchmarks.training import packed_steps, steady, trl_steps
from benchmarks.training.counting import Counts, counting
from benchmarks.training.rows import make_model, make_rows
from components.models.forward.check_packed import packed_model
from components.models.forward.pack import pack


def test_counts_need_no_values() -> None:
    model, rows = make_model(), [row.example() for row in make_rows(shared=True)[:4]]
    packed, batch, found = packed_model(model), pack(rows), []
    for shapes_only in (True, False):
        with counting(model, shapes_only=shapes_only) as counts:
            packed.log_probs(batch, packed.hidden(batch)).sum().backward()
        found.append(counts)
    assert found[0] == found[1]
    assert found[0].positions == batch.tokens
    # Six operations for each weight and label in the head, and for each weight of a layer and position.
    weights = sum(weight.numel() for name, weight in model.named_parameters() if "_proj" in name)
    head = model.lm_head.weight.numel() * len(batch.label_ids)
    assert found[0].flops > 6 * (weights * batch.tokens + head)


Ours = Callable[[Any], Counts]


@pytest.mark.parametrize(
    ("ours", "peer", "shared", "most"),
    [
        (packed_steps.kto_step, trl_steps.kto_step, False, 0.30),
        (packed_steps.dpo_step, trl_steps.dpo_step, True, 0.55),
    ],
    ids=["kto", "dpo"],
)
def test_operations_of_a_preference_step(ours: Ours, peer: Any, shared: bool, most: float) -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    # A quarter of the benchmark's rows: two of TRL's micro-batches.
    rows = make_rows(shared)[: 2 * trl_steps.MICRO_BATCH]
    assert ours(rows).flops <= most * peer(rows, "default").flops


def test_positions_of_supervised_fine_tuning() -> None:
    rows = make_rows(shared=False)
    assert packed_steps.sft_step(rows).positions <= 1.02 * sum(len(row.example()) for row in rows)


def test_a_budget_evens_out_the_same_steps() -> None:
    positions = np.random.default_rng(0).lognormal(5.3, 0.5, steady.STEPS * steady.GLOBAL_BATCH).astype(int)
    ways = {way: way(positions) for way in (steady.by_rows, steady.by_budget)}
    most = {way: max(positions[batch].sum() for batch in batches) for way, batches in ways.items()}
    for batches in ways.values():
        assert sorted(row for batch in batches for row in batch) == list(range(len(positions)))
    assert most[steady.by_budget] <= steady.BUDGET < most[steady.by_rows]
    assert len(ways[steady.by_budget]) <= 1.1 * len(ways[steady.by_rows])
