"""Micro-batches of stages have one length, each row once, and padding that changes nothing."""

from array import array

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from components.models.forward.example import Example
from components.models.forward.pack import pack
from components.models.forward.packed_model import PackedModel
from components.train.stages.pack_steps import PackedSteps, deal, padded


def test_a_step_is_dealt_to_micro_batches_of_nearly_equal_length() -> None:
    draw = np.random.default_rng(2)
    positions = draw.integers(1, 100, size=40)
    steps = PackedSteps(draw.permutation(40), positions, rows=20, micro_batches=6)
    longest = 0
    for step in range(2):
        dealt = steps.micro_batches_of(step)
        assert len(dealt) == 6 and all(dealt)
        assert sorted(row for each in dealt for row in each) == sorted(steps.order[20 * step : 20 * step + 20])
        sizes = [int(positions[each].sum()) for each in dealt]
        assert max(sizes) <= 4 / 3 * max(sum(sizes) / 6, int(positions[steps.order].max()))
        longest = max(longest, *sizes)
    assert steps.length == longest


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_a_reference_reads_every_row_once_also_where_a_budget_ends_within_an_epoch(steps: int) -> None:
    """24 rows of which a step has 8: with fewer than 3 steps, further ones read the rest, in longer micro-batches."""
    epochs = [np.random.default_rng(epoch).permutation(24) for epoch in range(3)]
    trained = PackedSteps(np.concatenate(epochs)[: 8 * steps], np.arange(24) + 1, rows=8, micro_batches=3)
    scored = trained.reading_all()
    read = [row for step in range(scored.steps) for rows in scored.micro_batches_of(step) for row in rows]
    assert sorted(read) == list(range(24))
    assert all(scored.micro_batches_of(step) == trained.micro_batches_of(step) for step in range(min(steps, 3)))
    assert scored.length >= trained.length


def test_no_micro_batch_is_empty_where_there_are_as_many_rows() -> None:
    assert sorted(deal([9, 1, 1], 3)) == [[0], [1], [2]]


def test_padding_changes_neither_log_probs_nor_gradients() -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=50, **shape))
    packed = PackedModel(model)
    rows = [Example(array("i", [1, 2, 3]), array("i", [4, 5])), Example(array("i", [6]), array("i", [7, 8, 9]))]
    found = []
    for batch in (pack(rows), padded(pack(rows), 20)):
        model.zero_grad()
        log_probs = packed.log_probs(batch, packed.hidden(batch))
        log_probs.sum().backward()  # type: ignore[no-untyped-call]
        found.append((log_probs.detach(), model.model.layers[0].mlp.up_proj.weight.grad))
    assert padded(pack(rows), 20).tokens == 20 > pack(rows).tokens
    assert torch.allclose(found[0][0], found[1][0], atol=1e-6)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)
    with pytest.raises(ValueError, match="has 7 positions, and 6 is the length of all"):
        padded(pack(rows), 6)
