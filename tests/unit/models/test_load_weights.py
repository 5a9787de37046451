"""Weights that do not fit a model's config.json are refused, wherever a model is loaded; nothing is left random."""

import ast
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from components.models.generators.load_model import load_model as load_teacher
from components.models.generators.local_model import ModelFolder
from components.models.likelihood.likelihood import LikelihoodModel
from components.models.stored.load_weights import load_causal_model, load_classifier, require_fitting
from components.models.stored.stored_model import read_folder
from components.models.stored.tied_heads import require_repeated_heads
from components.rewards.scorers.sequence_classifier import SequenceClassifier
from components.shared.errors import ModelError
from components.train.engine.load_model import load_model as load_start
from components.train.methods.sft import SftSettings
from tests.edit_model import adding, edit_config, edit_weights, read_weights, split_weights, without
from tests.tiny_architectures import ARCHITECTURES, save_architecture
from tests.tiny_model import save_tiny_model, tiny_config

FP32 = SftSettings(precision="fp32")
NORM = torch.ones(32)
LAYER_1 = "model.layers.1."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("untied") / "model")


@pytest.fixture
def untied(made: Path, tmp_path: Path) -> Path:
    """A complete model with an untied head."""
    return Path(shutil.copytree(made, tmp_path / "untied"))


def refusal(load: Callable[[], Any]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load()
    return caught.value


def renamed(prefix: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda tensors: {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def deeper(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    copied = {n.replace(LAYER_1, "model.layers.2."): t.clone() for n, t in tensors.items() if n.startswith(LAYER_1)}
    return tensors | copied


FAULTS = {
    "no head": (without("lm_head"), "lm_head.weight"),
    "no embeddings": (without("embed_tokens"), "model.embed_tokens.weight"),
    "no layer": (without(LAYER_1), "model.layers.1"),
    "no first layer": (without("model.layers.0."), "model.layers.0"),
    "one tensor missing": (without("layers.1.mlp.down_proj"), "model.layers.1.mlp.down_proj.weight"),
    "no last norm": (without("model.norm"), "model.norm.weight"),
    "one layer more": (deeper, "model.layers.2"),
    "an adapter's names": (renamed("base_model.model."), "base_model.model."),
    "names of DistributedDataParallel": (renamed("module."), "module."),
    "names of torch.compile": (renamed("_orig_mod."), "_orig_mod."),
    "names of another library": (renamed("gpt."), "model.layers.0"),
    "a tensor more": (adding(model__norm__bias=NORM), "model.norm.bias"),
    "another shape": (adding(model__norm__weight=torch.ones(31)), "model.norm.weight [31] instead of [32]"),
    "another width": (adding(lm_head__weight=torch.ones(261, 16)), "lm_head.weight [261, 16]"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_files_that_do_not_fit_are_refused_by_name(untied: Path, fault: str) -> None:
    change, named = FAULTS[fault]
    edit_weights(untied, change)
    error = refusal(lambda: load_causal_model(untied, "mine"))
    assert "'mine'" in error.problem and named in error.problem, error
    assert error.rule and error.remedy


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"num_hidden_layers": 1}, "also hold model.layers.1"),
        ({"num_hidden_layers": 3}, "no tensors of model.layers.2"),
        ({"vocab_size": 300}, "vocab_size is 300, but model.embed_tokens.weight has 261 rows"),
        ({"intermediate_size": 48}, "6 tensors have another shape: model.layers.0.mlp.down_proj.weight [32, 64]"),
        ({"attention_bias": True}, "8 tensors are missing: model.layers.0.self_attn.k_proj.bias"),
    ],
    ids=str,
)
def test_a_config_of_another_size_is_refused(untied: Path, changed: dict[str, Any], named: str) -> None:
    edit_config(untied, **changed)
    assert named in refusal(lambda: load_causal_model(untied, "mine")).problem


def test_the_first_few_names_and_their_number_are_shown(untied: Path) -> None:
    edit_weights(untied, without("mlp", "input_layernorm"))
    problem = refusal(lambda: load_causal_model(untied, "mine")).problem
    assert "8 tensors are missing: model.layers.0.input_layernorm.weight" in problem and "and 3 more" in problem


@pytest.mark.parametrize("load", [load_causal_model, require_fitting])
def test_a_tied_head_need_not_be_stored(load: Callable[[Path, str], Any], tmp_path: Path) -> None:
    tied = save_tiny_model(tmp_path / "tied", tie_word_embeddings=True)
    assert "lm_head.weight" not in read_weights(tied)
    load(tied, "tied")
    # Files that hold it as well, as some programs write them, are accepted too.
    edit_weights(tied, lambda tensors: tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()})
    load(tied, "tied")


def test_an_untied_head_stays_untied(tmp_path: Path) -> None:
    """config.json says tied, the weights differ: transformers trusts the weights, and cannot do so under ZeRO-3."""
    odd = edit_weights(save_tiny_model(tmp_path, tie_word_embeddings=True), adding(lm_head__weight=torch.ones(261, 32)))
    assert torch.equal(load_causal_model(odd, "odd").lm_head.weight, torch.ones(261, 32))
    problem = refusal(lambda: require_repeated_heads(odd, read_folder(odd, "odd"))).problem
    assert "its files hold another lm_head.weight" in problem


def test_pickled_weights_are_checked_alike(untied: Path) -> None:
    weights = read_weights(untied)
    (untied / "model.safetensors").unlink()
    torch.save(weights, untied / "pytorch_model.bin")
    load_causal_model(untied, "mine", allow_pickled=True)
    torch.save(without("layers.1.mlp.down_proj")(weights), untied / "pytorch_model.bin")
    error = refusal(lambda: load_causal_model(untied, "mine", allow_pickled=True))
    assert "model.layers.1.mlp.down_proj.weight" in error.problem


def test_buffers_of_older_versions_are_accepted(untied: Path) -> None:
    edit_weights(untied, adding(model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(8)))
    load_causal_model(untied, "mine")


def test_files_of_an_index_are_loaded_together(untied: Path) -> None:
    before = read_weights(untied)
    model = load_causal_model(split_weights(untied), "mine")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


def test_a_missing_file_of_the_index_is_named(untied: Path) -> None:
    split_weights(untied)
    (untied / "model-00002-of-00002.safetensors").unlink()
    error = refusal(lambda: load_causal_model(untied, "mine"))
    assert "lacks model-00002-of-00002.safetensors" in error.problem


def test_a_tensor_that_only_the_index_has_is_named(untied: Path) -> None:
    split_weights(untied)
    path = untied / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.layers.2.mlp.up_proj.weight"] = "model-00001-of-00002.safetensors"
    path.write_text(json.dumps(index))
    assert "1 tensors that its" in refusal(lambda: load_causal_model(untied, "mine")).problem


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "not a safetensors file"),
        (b"", "not a safetensors file"),
        (None, "its header states"),
    ],
    ids=["LFS pointer", "empty", "truncated"],
)
def test_a_damaged_file_is_distinguished_from_a_wrong_one(untied: Path, content: bytes | None, named: str) -> None:
    path = untied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    assert named in refusal(lambda: load_causal_model(untied, "mine")).problem


def test_an_adapter_beside_the_weights_is_refused(untied: Path) -> None:
    (untied / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x"}))
    assert "an adapter beside" in refusal(lambda: load_causal_model(untied, "mine")).problem


def test_an_unknown_architecture_is_refused_without_a_traceback(untied: Path) -> None:
    edit_config(untied, model_type="nothing", architectures=["Nothing"])
    assert "cannot be loaded" in refusal(lambda: load_causal_model(untied, "mine")).problem


def test_plain_weights_behind_a_claim_of_quantisation_are_loaded(
    untied: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edit_config(untied, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    model = load_causal_model(untied, "mine")
    assert torch.equal(model.lm_head.weight, read_weights(untied)["lm_head.weight"])
    assert "quantization_config in its config.json is ignored" in capfd.readouterr().err


def test_an_expert_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = save_architecture("glm4_moe", tmp_path / "start")
    edit_weights(folder, without("experts.2.up_proj"))
    assert "lacks model.layers.1.mlp.experts.2.up_proj" in refusal(lambda: load_causal_model(folder, "mine")).problem


def test_a_buffer_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = save_architecture("gemma4", tmp_path / "start")
    edit_weights(folder, without("layers.1.layer_scalar"))
    assert "model.layers.1.layer_scalar" in refusal(lambda: load_causal_model(folder, "mine")).problem


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_complete_models_of_many_kinds_are_loaded(name: str, tmp_path: Path) -> None:
    require_fitting(save_architecture(name, tmp_path), "mine")


def save_classifier(folder: Path) -> Path:
    from transformers import LlamaForSequenceClassification

    save_tiny_model(folder)
    LlamaForSequenceClassification(tiny_config(num_labels=1)).save_pretrained(folder)
    return folder


def test_a_language_model_is_not_accepted_as_a_classifier(untied: Path) -> None:
    """Its head would be random, and every score with it."""
    assert "score.weight" in refusal(lambda: load_classifier(untied, "mine")).problem


def load_evaluated(folder: Path) -> Any:
    from components.evaluate.settings import EvaluationSettings

    settings = EvaluationSettings.model_validate({"benchmarks": [{"name": "demo"}]})
    return settings.generator.open_folder(ModelFolder(folder, "mine"))


ENTRANCES: dict[str, Callable[[Path], Any]] = {
    "train": lambda folder: load_start(folder, "mine", FP32),
    "teacher": lambda folder: load_teacher(ModelFolder(folder, "mine")),
    "likelihood": lambda folder: LikelihoodModel.load(str(folder)),
    "evaluate": load_evaluated,
    "merge": lambda folder: require_fitting(folder, "mine"),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_every_step_refuses_a_model_that_lacks_a_tensor(untied: Path, entrance: str) -> None:
    edit_weights(untied, without("layers.1.mlp.down_proj"))
    assert "model.layers.1.mlp.down_proj.weight" in refusal(lambda: ENTRANCES[entrance](untied)).problem


def test_a_scorer_refuses_a_classifier_that_lacks_a_tensor(tmp_path: Path) -> None:
    folder = save_classifier(tmp_path / "classifier")
    SequenceClassifier.load(str(folder), 64).close()
    edit_weights(folder, without("score.weight"))
    assert "score.weight" in refusal(lambda: SequenceClassifier.load(str(folder), 64)).problem


def test_no_other_code_loads_weights() -> None:
    """Code that loads weights by itself would not notice missing ones; tokenizers, configs and adapters are exempt."""
    allowed = {"AutoTokenizer", "AutoConfig", "GenerationConfig", "PeftModel"}
    found = []
    for path in [*Path("components").rglob("*.py"), *Path("pipelines").rglob("*.py")]:
        if path.name == "load_weights.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in {"from_pretrained", "from_config"}:
                owner = node.value.id if isinstance(node.value, ast.Name) else ast.unparse(node.value)
                if owner not in allowed:
                    found.append(f"{path}: {owner}.{node.attr}")
    assert found == []
