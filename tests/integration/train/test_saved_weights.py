"""After a real training, a model holds what its start held: buffers, experts and towers, where it has them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from components.models.stored.load_weights import load_causal_model
from components.shared.errors import ModelError
from tests.edit_model import adding, edit_weights, read_weights, split_weights
from tests.tiny_architectures import save_architecture
from tests.tiny_model import save_tiny_model

pytestmark = pytest.mark.timeout(1500)
IDS = torch.arange(5, 25)[None]


def outcome(bench: Any, start: Path, **settings: Any) -> tuple[Path, set[str]]:
    """The trained model's folder, and the stored names of what the training changed."""
    manifest = bench.train(str(start), learning_rate=1e-6, saved_weights="fp32", **settings)
    folder = Path(bench.root, manifest.address, "model")
    before, after = read_weights(start), read_weights(folder)
    assert {name: tensor.shape for name, tensor in after.items()} == {n: t.shape for n, t in before.items()}
    return folder, {name for name in before if not torch.equal(before[name], after[name])}


def logits(folder: Path) -> torch.Tensor:
    with torch.inference_mode():
        return load_causal_model(folder, "model")(input_ids=IDS).logits


def test_gemma_4_keeps_its_buffers(bench: Any, tmp_path: Path) -> None:
    start = split_weights(save_architecture("gemma4", tmp_path / "start"))
    folder, changed = outcome(bench, start, launch={"processes_per_node": 1})
    assert not any("layer_scalar" in name for name in changed) and len(changed) > 30
    assert (logits(folder) - logits(start)).abs().max() < 0.02, "a learning rate of 1e-6 hardly moves them"
    assert json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]


def test_glm_4_moe_keeps_its_routers_buffer_and_its_experts_names(bench: Any, tmp_path: Path) -> None:
    """Under ZeRO-3, where every process holds a part of each weight."""
    start = save_architecture("glm4_moe", tmp_path / "start")
    folder, changed = outcome(bench, start, deepspeed={"stage": 3})
    assert "model.layers.1.mlp.gate.e_score_correction_bias" not in changed
    assert any("mlp.experts.3.up_proj" in name for name in changed)
    assert (logits(folder) - logits(start)).abs().max() < 0.02


def test_a_vision_language_model_keeps_its_tower(bench: Any, tmp_path: Path) -> None:
    start = save_architecture("qwen3_5_vision", tmp_path / "start")
    folder, changed = outcome(bench, start, weight_decay=0.1, launch={"processes_per_node": 1})
    assert changed and all("visual" not in name for name in changed)
    assert (logits(folder) - logits(start)).abs().max() < 0.02


def test_zero_3_refuses_tensors_that_the_model_lacks(bench: Any, tmp_path: Path) -> None:
    start = edit_weights(save_tiny_model(tmp_path / "start"), adding(model__norm__bias=torch.ones(32)))
    with pytest.raises(ModelError) as raised:
        bench.train(str(start), deepspeed={"stage": 3})
    assert "1 tensors are not part of the model: model.norm.bias" in raised.value.problem
