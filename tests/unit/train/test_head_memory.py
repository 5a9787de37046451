"""No method makes a tensor of positions by vocabulary: not for its loss, its gradient, its metrics or its reference."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from components.models.forward.chunks import COPIES, FP32_BYTES, HeadMemory
from components.models.forward.packed_model import PackedModel
from components.train.methods.registry import METHODS
from tests.largest_tensor import LargestTensor
from tests.unit.train.test_preference_losses import DEMONSTRATIONS, JUDGED, PAIRS, TEMPLATE, ours

VOCABULARY, WIDTH = 6000, 16
CHUNK = 8
"""Label positions that go through the head together."""
LENGTHEN = 12
OPTIONS: dict[str, dict[str, Any]] = {
    "sft": {"method": "sft"},
    "kto": {"method": "kto", "kto": {"kl_batch": 4}},
    "apo_zero_unpaired": {"method": "kto", "kto": {"loss": "apo_zero_unpaired"}},
    "dpo": {"method": "dpo", "dpo": {"rpo_alpha": 0.5}},
    "sigmoid_norm": {"method": "dpo", "dpo": {"loss": "sigmoid_norm"}},
    "orpo": {"method": "orpo"},
    "simpo": {"method": "simpo"},
}


def long_rows(method: str) -> list[Any]:
    """The rows of a method with long responses, so that their labels are many chunks."""
    if METHODS[method].part == "pairs":
        return [
            row.model_copy(update={name: getattr(row, name) * LENGTHEN for name in ("chosen", "rejected")})
            for row in PAIRS
        ]
    rows = DEMONSTRATIONS if method == "sft" else JUDGED
    return [row.model_copy(update={"completion": row.completion * LENGTHEN}) for row in rows]


def test_every_method_on_packed_rows_is_watched() -> None:
    """GRPO, which draws its rows while it trains, has trl's loss on padded ones."""
    assert {given["method"] for given in OPTIONS.values()} == METHODS.keys() - {"grpo"}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_step_makes_no_tensor_of_positions_by_vocabulary(name: str, tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(7)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    start = LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, **sizes)).eval()
    given = OPTIONS[name]
    trainer = ours(start, tokenizer, tmp_path, rows=long_rows(given["method"]), max_length=512, **given)
    trainer.packed = PackedModel(trainer.model, HeadMemory(CHUNK * VOCABULARY * FP32_BYTES * COPIES, kept_bytes=0))
    batch = trainer.data_collator(trainer.train_dataset.__getitems__(list(range(len(trainer.train_dataset)))))
    labels = len(getattr(batch, "packed", batch).label_ids)
    with LargestTensor() as largest:
        if trainer.objective.reference_columns:
            trainer.compute_ref_log_probs(trainer.model, batch)
            trainer.model.train()
        trainer.compute_loss(trainer.model, batch).backward()
    assert largest.elements == VOCABULARY * WIDTH, "the head's weights, or their gradient"
    assert labels * VOCABULARY > 10 * largest.elements
