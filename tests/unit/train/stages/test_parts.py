"""A model is split at its layers: stages keep the tensors' names and hold only their own; what cannot be is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from components.shared.errors import ModelError, SettingsError
from components.train.check_start import require_layers
from components.train.methods.registry import parse_train_settings
from components.train.stages.check_stage import check_stage
from components.train.stages.load_stage import load_outline, load_stages
from components.train.stages.parts import find_parts
from components.train.stages.settings import StageSettings
from components.train.stages.stage_model import StageModel

SHAPE = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3}
SHAPE |= {"num_attention_heads": 2, "num_key_value_heads": 2}
SETTINGS = parse_train_settings({"precision": "fp32", "gradient_checkpointing": False})
SPANS = [(0, 1), (1, 2), (2, 3)]


def saved(folder: Path, config: Any) -> Path:
    """A model with random weights."""
    torch.manual_seed(1)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("tied", [True, False])
def test_each_stage_holds_its_own_tensors_by_the_models_names(tmp_path: Path, tied: bool) -> None:
    folder = saved(tmp_path, transformers.Qwen2Config(**SHAPE, tie_word_embeddings=tied))
    weights = transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict()
    outline = load_outline(folder, "student", SETTINGS)
    expected = {name: 1 for name, _ in outline.named_parameters()}
    if tied:
        expected["model.embed_tokens.weight"] = 2
    held: dict[str, int] = {}
    for place, (model, parts) in enumerate(load_stages(folder, "student", SETTINGS, SPANS)):
        own = dict(model.named_parameters())
        assert {name.split(".")[2] for name in own if ".layers." in name} == {str(place)}
        assert all(torch.equal(weight, weights[name]) for name, weight in own.items())
        held = {name: held.get(name, 0) + (name in own) for name in held | own}
        check_stage(StageModel(model, is_first=place == 0), parts, is_last=place == len(SPANS) - 1)
    assert held == expected


@pytest.mark.parametrize("name", ["Qwen3", "Mistral", "SmolLM3", "Phi3", "Gemma2", "Gemma3Text", "GPTNeoX", "Cohere"])
def test_architectures_that_pack_can_be_split(tmp_path: Path, name: str) -> None:
    config = getattr(transformers, f"{name}Config")(**SHAPE, head_dim=8, pad_token_id=0)
    require_stages(saved(tmp_path, config))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (transformers.GPT2Config(n_embd=16, n_head=2, n_layer=3, vocab_size=64), "parts that belong to no stage: wpe"),
        (transformers.GraniteConfig(**SHAPE, embedding_multiplier=2.0), "changes the states that it reads"),
        (transformers.MixtralConfig(**SHAPE, num_local_experts=2), "router"),
    ],
)
def test_models_that_cannot_be_split_are_refused(tmp_path: Path, config: Any, message: str) -> None:
    folder = saved(tmp_path, config)
    with pytest.raises(ModelError, match=message):
        require_stages(folder)


def require_stages(folder: Path) -> None:
    """What a training does before its first step, for all stages."""
    find_parts(load_outline(folder, "student", SETTINGS))
    for place, (model, parts) in enumerate(load_stages(folder, "student", SETTINGS, SPANS)):
        check_stage(StageModel(model, is_first=place == 0), parts, is_last=place == len(SPANS) - 1)


def test_layers_must_be_known_and_enough() -> None:
    with pytest.raises(SettingsError, match="the layers of 'student' cannot be found"):
        require_layers(StageSettings(), None, 2, "student")
    with pytest.raises(SettingsError, match="3 stages are more than the model's 2 layers"):
        require_layers(StageSettings(), 2, 3, "student")
