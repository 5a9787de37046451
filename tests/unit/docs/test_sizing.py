"""The tables of docs/sizing.md match the formulas, and the formulas match what was measured."""

import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks.sizing import (
    LEAST_SLOTS,
    MODELS,
    OPTIMIZER,
    TABLES,
    WEIGHT,
    activations,
    slots,
    teacher_gpus,
    zero2,
    zero3,
)

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "sizing.md"


def _block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_the_computed_table(name: str) -> None:
    found = _block(name).search(PAGE.read_text())
    assert found is not None, f"docs/sizing.md has no <!-- {name} -->"
    assert found[2].strip() == TABLES[name](), "run python -m tests.unit.docs.test_sizing"


def test_parameters_are_those_that_the_models_have() -> None:
    counted = {model.name: model.parameters for model in MODELS}
    assert counted["Qwen2-0.5B"] == 494_032_768
    assert counted["Qwen2.5-7B"] == 7_615_616_512


def test_a_measured_checkpoint_is_as_large_as_the_formula_says() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "checkpoint.json").read_text())["2 processes"]
    states = [size for name, size in measured["files"].items() if name.endswith("optim_states.pt")]
    assert sum(states) == pytest.approx(OPTIMIZER * measured["parameters"], rel=1e-3)
    # In fp32: weights of 4 bytes rather than 2.
    whole = (4 + OPTIMIZER) * measured["parameters"]
    assert measured["mib_of_a_checkpoint"] == pytest.approx(whole / 2**20, rel=1e-3)


def test_one_rank_shares_with_nobody() -> None:
    for model in MODELS:
        assert zero2(model, 1) == zero3(model, 1) == 16 * model.parameters
        assert zero3(model, 8) < zero2(model, 8) < zero2(model, 4)


def test_the_chunk_of_logits_is_as_large_as_the_tile_of_trls_fused_head() -> None:
    from trl.kernels.chunked_logprob import TOKEN_CHUNK_SIZE
    from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE

    from components.models.forward.chunks import HeadMemory

    assert HeadMemory().chunk_bytes == TOKEN_CHUNK_SIZE * _CHUNKED_LOGPROB_CHUNK_SIZE * WEIGHT


def test_a_forward_pass_keeps_the_layers_inputs_and_no_logits() -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    words, hidden, layers, tokens = 20_000, 64, 4, 256
    sizes = {"vocab_size": words, "hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": 128}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, tie_word_embeddings=True))
    model.gradient_checkpointing_enable()
    add_fused_lm_head(model.train())
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    row = torch.randint(0, words, (1, tokens))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=row, labels=row, fused_lm_head=True)
    inputs = layers * tokens * hidden * 4
    assert inputs <= sum(kept.values()) < 3 * inputs < tokens * words * 4 / 10


def test_pairs_take_more_than_rows_and_less_than_twice_as_much() -> None:
    """The layers hold both responses, the head's gradient is one."""
    for model in MODELS:
        assert activations(model, "SFT") < activations(model, "DPO") < 2 * activations(model, "SFT")


def test_a_teacher_gets_the_fewest_gpus_that_suffice() -> None:
    for model in MODELS:
        gpus = teacher_gpus(model)
        assert slots(model, gpus) >= LEAST_SLOTS
        assert gpus == 1 or slots(model, gpus // 2) < LEAST_SLOTS
        assert model.heads % gpus == 0


if __name__ == "__main__":
    text = PAGE.read_text()
    for name, made in TABLES.items():
        text = _block(name).sub(lambda found, made=made: f"{found[1]}{made()}\n{found[3]}", text)
    sys.exit(PAGE.write_text(text) and 0)
