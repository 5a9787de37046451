"""What a training step costs beside TRL's, by counts on the same rows."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from benchmarks.training import packed_steps, steady
from benchmarks.training.compared_steps import STEPS
from benchmarks.training.counting import counting
from benchmarks.training.packed_steps import KL_GROUP
from benchmarks.training.rows import make_model, make_rows
from benchmarks.training.trl_steps import MICRO_BATCH, Peer, repeatable
from components.analyse.study.compute import mismatched_tokens, reference_tokens, training_flops
from components.models.forward.check_packed import packed_model
from components.models.forward.pack import pack
from tests.stand_in_outputs import stand_in_output


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


@pytest.mark.parametrize(
    ("name", "peer", "most"),
    [("kto", "default", 0.30), ("kto", "options", 0.45), ("dpo", "default", 0.55), ("dpo", "options", 0.55)],
)
def test_operations_of_a_preference_step(name: str, peer: Peer, most: float) -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    # A quarter of the benchmark's rows: two of TRL's micro-batches.
    step = STEPS[name]
    rows = step.rows(2 * MICRO_BATCH)
    assert step.count(rows).flops <= most * step.count_peer(rows, peer).flops


def test_mismatched_pairs_cost_what_a_study_counts(tmp_path: Path) -> None:
    """The counts of KTO's passes less those without mismatched pairs, against the formula of components/analyse."""
    rows = STEPS["kto"].rows(KL_GROUP)
    counted = packed_steps.counted(packed_steps.kto_passes, rows).flops
    mismatched = counted - packed_steps.counted(packed_steps.dpo_passes, rows).flops
    # The other responses of a group are its own; only the product of the head counts for an embedding.
    tokens = sum(len(row.example().completion) for row in rows)
    weights = sum(p.numel() for name, p in make_model().named_parameters() if "embed" not in name)
    counts = {"parameters": weights, "parameters_trained": weights, "tokens": 0, "steps": 3}
    settings = {"method": "kto", "global_batch": len(rows)}
    output = stand_in_output(str(tmp_path), "train", settings, {})
    training = output.finish({**counts, "kl_pairs": len(rows), "kl_tokens": tokens, "reference_rows": len(rows)})
    assert mismatched_tokens(training) == 3 * tokens and reference_tokens(training) == tokens
    assert training_flops(training) <= 3 * mismatched <= 1.3 * training_flops(training), "attention is left out"


def test_positions_of_supervised_fine_tuning() -> None:
    step = STEPS["sft"]
    assert step.count(step.rows()).positions <= 1.02 * sum(len(row.example()) for row in step.rows())


@pytest.mark.parametrize("name", ["sft", "kto"])
def test_a_step_that_is_timed_is_the_step_that_is_counted(name: str) -> None:
    transformers.logging.set_verbosity_error()
    step = STEPS[name]
    rows = step.rows(MICRO_BATCH)
    with step.trainer(rows, "options") as trainer:
        repeat = repeatable(trainer)
        found = []
        for _ in range(2):
            with counting(trainer.model) as counts:
                repeat()
            found.append(counts)
    assert found[0] == found[1] == step.count_peer(rows, "options")


def test_a_budget_evens_out_the_same_steps() -> None:
    positions = np.random.default_rng(0).lognormal(5.3, 0.5, steady.STEPS * steady.GLOBAL_BATCH).astype(int)
    ways = {way: way(positions) for way in (steady.by_rows, steady.by_budget)}
    most = {way: max(positions[batch].sum() for batch in batches) for way, batches in ways.items()}
    for batches in ways.values():
        assert sorted(row for batch in batches for row in batch) == list(range(len(positions)))
    assert most[steady.by_budget] <= steady.BUDGET < most[steady.by_rows]
    assert len(ways[steady.by_budget]) <= 1.1 * len(ways[steady.by_rows])
