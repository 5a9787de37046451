"""A trained model holds everything that its start held, under the same names; what was not trained, byte for byte."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from components.models.stored.load_weights import load_causal_model
from components.models.stored.stored_model import read_folder
from components.shared.errors import ModelError
from components.train.engine import save_model
from components.train.engine.divergence import DivergedError
from components.train.engine.load_model import adapter_config, freeze_other_towers
from components.train.engine.save_model import save_weights
from components.train.engine.weight_layout import require_place
from components.train.job_file import TrainingJob
from components.train.methods.sft import SftSettings
from components.train.settings import LoraSettings
from tests.edit_model import adding, edit_config, edit_weights, read_weights, split_weights
from tests.tiny_architectures import save_architecture
from tests.tiny_model import save_tiny_model

IDS = torch.arange(5, 25)[None]
UNTRAINED = {
    "gemma4": {"model.layers.0.layer_scalar", "model.layers.1.layer_scalar"},
    "glm4_moe": {"model.layers.1.mlp.gate.e_score_correction_bias"},
    "mixtral": set(),
    "gpt2": set(),
    "opt": set(),
}
TOWERS = {"gemma3_vision": ("vision_tower.", "multi_modal_projector."), "qwen3_5_vision": ("model.visual.",)}


class Trained:
    """A start, and the model that a training made of it: every weight that would be trained has moved."""

    def __init__(self, start: Path) -> None:
        self.start = start
        self.model = load_causal_model(start, "start")
        self.frozen = freeze_other_towers(self.model)
        require_place(self.model, read_folder(start))
        torch.manual_seed(1)
        with torch.no_grad():
            for weight in self.model.parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight) * 0.05)

    def save(self, folder: Path) -> Path:
        weights = {n: w.detach().clone() for n, w in self.model.named_parameters() if w.requires_grad}
        save_weights(self.model, weights, self.start, "start", folder)
        save_model._write_config(self.start, folder, SftSettings(precision="fp32"))
        return folder

    def changed(self, folder: Path) -> set[str]:
        before, after = read_weights(self.start), read_weights(folder)
        assert {n: t.shape for n, t in before.items()} == {n: t.shape for n, t in after.items()}
        return {name for name in before if not torch.equal(before[name], after[name])}


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(input_ids=IDS).logits


@pytest.mark.parametrize("name", UNTRAINED)
def test_weights_are_trained_and_buffers_stay(name: str, tmp_path: Path) -> None:
    trained = Trained(save_architecture(name, tmp_path / "start"))
    folder = trained.save(tmp_path / "model")
    assert read_weights(trained.start).keys() - trained.changed(folder) == UNTRAINED[name]
    assert torch.equal(logits(load_causal_model(folder, "trained")), logits(trained.model))


@pytest.mark.parametrize("name", TOWERS)
def test_other_towers_stay_byte_for_byte(name: str, tmp_path: Path) -> None:
    trained = Trained(save_architecture(name, tmp_path / "start"))
    folder = trained.save(tmp_path / "model")
    tower = {stored for stored in read_weights(trained.start) if stored.startswith(TOWERS[name])}
    assert tower and trained.changed(folder) == read_weights(trained.start).keys() - tower
    assert torch.equal(logits(load_causal_model(folder, "trained")), logits(trained.model))


def test_a_tower_that_is_loaded_gets_no_adapter(tmp_path: Path) -> None:
    from peft import get_peft_model

    model = load_causal_model(save_architecture("gemma3_vision", tmp_path), "start")
    assert freeze_other_towers(model) == sum(
        weight.numel() for name, weight in model.named_parameters() if "language_model" not in name
    )
    adapted = get_peft_model(model, adapter_config(LoraSettings(), model))
    trained = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    assert trained and all("language_model" in name for name in trained)


def test_nothing_of_a_text_model_is_frozen(tmp_path: Path) -> None:
    assert freeze_other_towers(load_causal_model(save_architecture("gemma4", tmp_path), "start")) == 0


def test_the_starts_files_and_index_are_kept(tmp_path: Path) -> None:
    start = split_weights(save_architecture("glm4_moe", tmp_path / "start"), 3)
    trained = Trained(start)
    folder = trained.save(tmp_path / "model")
    index = "model.safetensors.index.json"
    ours, theirs = (json.loads((path / index).read_text()) for path in (folder, start))
    assert ours == theirs
    assert sorted(p.name for p in folder.glob("*.safetensors")) == sorted(p.name for p in start.glob("*.safetensors"))
    assert torch.equal(logits(load_causal_model(folder, "trained")), logits(trained.model))


def test_a_tied_head_that_is_stored_follows_the_embeddings(tmp_path: Path) -> None:
    start = save_tiny_model(tmp_path / "start", tie_word_embeddings=True)
    edit_weights(start, lambda tensors: tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()})
    folder = Trained(start).save(tmp_path / "model")
    weights = read_weights(folder)
    assert torch.equal(weights["lm_head.weight"], weights["model.embed_tokens.weight"])
    assert not torch.equal(weights["lm_head.weight"], read_weights(start)["lm_head.weight"])


def test_a_start_without_the_base_models_prefix_keeps_its_names(tmp_path: Path) -> None:
    """Old GPT-2 files name `h.0.attn…`, without `transformer.`."""
    start = save_architecture("gpt2", tmp_path / "start")
    edit_weights(start, lambda tensors: {name.removeprefix("transformer."): t for name, t in tensors.items()})
    trained = Trained(start)
    folder = trained.save(tmp_path / "model")
    assert "h.0.attn.c_attn.weight" in trained.changed(folder)
    assert torch.equal(logits(load_causal_model(folder, "trained")), logits(trained.model))


def test_what_the_class_ignores_is_copied_too(tmp_path: Path) -> None:
    """Qwen3.5's `mtp`, for the prediction of further tokens, is in the files and in no model of transformers."""
    start = save_architecture("qwen3_5_vision", tmp_path / "start")
    extra = torch.randn(4, 8)
    edit_weights(start, adding(mtp__fc__weight=extra))
    folder = Trained(start).save(tmp_path / "model")
    assert torch.equal(read_weights(folder)["mtp.fc.weight"], extra)


def test_a_frozen_weight_keeps_its_type(tmp_path: Path) -> None:
    start = save_tiny_model(tmp_path / "start")
    edit_weights(start, lambda tensors: {n: t.bfloat16() if "norm" in n else t for n, t in tensors.items()})
    model = load_causal_model(start, "start", dtype=torch.float32)
    weights = {n: w.detach() + 1 for n, w in model.named_parameters() if "norm" not in n}
    save_weights(model, weights, start, "start", tmp_path / "model")
    before, after = read_weights(start), read_weights(tmp_path / "model")
    assert after["model.norm.weight"].dtype == torch.bfloat16
    assert torch.equal(before["model.norm.weight"], after["model.norm.weight"])
    assert torch.equal(before["lm_head.weight"] + 1, after["lm_head.weight"])


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_not_saved(value: float, tmp_path: Path) -> None:
    start = save_tiny_model(tmp_path / "start")
    model = load_causal_model(start, "start", dtype=torch.float32)
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    weights["model.norm.weight"][3] = value
    with pytest.raises(DivergedError, match=r"the trained weights of model\.norm\.weight are not finite"):
        save_weights(model, weights, start, "start", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_pickled_start_becomes_safetensors_with_its_buffers(tmp_path: Path) -> None:
    start = save_architecture("gemma4", tmp_path / "start")
    before = read_weights(start)
    (start / "model.safetensors").unlink()
    torch.save(before, start / "pytorch_model.bin")
    model = load_causal_model(start, "start", allow_pickled=True)
    weights = {name: weight.detach() + 1 for name, weight in model.named_parameters()}
    save_weights(model, weights, start, "start", tmp_path / "model")
    after = read_weights(tmp_path / "model")
    assert after.keys() == before.keys()
    assert {name for name in before if torch.equal(before[name], after[name])} == UNTRAINED["gemma4"]


def test_a_weight_without_a_place_is_refused_before_the_training(tmp_path: Path) -> None:
    model = load_causal_model(save_tiny_model(tmp_path / "start"), "start")
    other = read_folder(save_tiny_model(tmp_path / "other", hidden_size=64))
    with pytest.raises(ModelError, match=r"lack \d+ trained weights"):
        require_place(model, other)


@pytest.mark.parametrize("name", ["gemma4", "glm4_moe", "gpt2", "qwen3_5_vision"])
def test_adapters_change_their_layers_alone(name: str, tmp_path: Path) -> None:
    from peft import get_peft_model

    start = save_architecture(name, tmp_path / "start")
    model = load_causal_model(start, "start")
    adapted = get_peft_model(model, adapter_config(LoraSettings(rank=4), model))
    torch.manual_seed(2)
    for parameter, weight in adapted.named_parameters():
        if "lora_" in parameter:
            torch.nn.init.normal_(weight, std=0.1)
    adapted.save_pretrained(tmp_path / "adapter")
    job = TrainingJob(
        root="", address="", task="train", settings=SftSettings(precision="fp32"), dataset="", start="start"
    )
    save_model._save_merged(start, tmp_path / "adapter", job, tmp_path / "model")
    save_model._write_config(start, tmp_path / "model", job.settings)
    before, after = read_weights(start), read_weights(tmp_path / "model")
    changed = {stored for stored in before if not torch.equal(before[stored], after[stored])}
    assert changed and all(before[stored].ndim == 2 for stored in changed)
    assert not any("embed" in stored or "lm_head" in stored or "visual" in stored for stored in changed)
    torch.testing.assert_close(
        logits(load_causal_model(tmp_path / "model", "merged")), logits(adapted), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("place", ["config", "text_config"])
def test_plain_weights_claim_no_quantisation(place: str, tmp_path: Path) -> None:
    start = save_architecture("qwen3_5_vision" if place == "text_config" else "gemma4", tmp_path / "start")
    block = {"quant_method": "fp8"}
    if place == "config":
        edit_config(start, quantization_config=block)
    else:
        text = json.loads((start / "config.json").read_text())["text_config"]
        edit_config(start, text_config=text | {"quantization_config": block, "torch_dtype": "bfloat16"})
    (tmp_path / "model").mkdir()
    save_model._write_config(start, tmp_path / "model", SftSettings(precision="fp32"))
    written = (tmp_path / "model" / "config.json").read_text()
    assert "quantization_config" not in written and "bfloat16" not in written
    assert json.loads(written)["dtype"] == "float32"
