"""Models that must not be merged are refused, and the message says where they differ."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer

from components.merge.compatible import require_compatible
from components.merge.merge import merge_models
from components.merge.settings import MergeSettings
from components.models.reference import local_model
from components.models.stored.load_weights import load_causal_model
from components.shared.errors import ModelError
from components.shared.outputs.library import Library
from components.shared.store.uri import join
from tests.edit_model import adding, edit_config, edit_weights, read_weights, split_weights, without

EMBEDDINGS = "model.embed_tokens.weight"


def refusal(**models: Path) -> str:
    with pytest.raises(ModelError) as caught:
        require_compatible(models)
    return str(caught.value)


@pytest.fixture
def twin(models: dict[str, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(models["sft"], tmp_path / "twin"))


def test_models_of_one_base_pass(models: dict[str, str]) -> None:
    require_compatible({name: Path(folder) for name, folder in models.items()})


def test_template_says_which_line(models: dict[str, str], twin: Path) -> None:
    template = (twin / "chat_template.jinja").read_text()
    (twin / "chat_template.jinja").write_text(template.replace("{%- generation -%}", "{%- generation -%} "))
    lines = template.splitlines()
    number = lines.index("{%- generation -%}") + 1
    message = refusal(base=Path(models["base"]), sft=twin)
    assert "chat templates differ" in message and f"line {number}: " in message and "'base' | 'sft'" in message


def test_missing_template_is_a_difference(models: dict[str, str], twin: Path) -> None:
    (twin / "chat_template.jinja").unlink()
    assert "line 1" in refusal(base=Path(models["base"]), sft=twin)


def test_added_token_says_its_id(models: dict[str, str], twin: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(twin)
    tokenizer.add_tokens(["<tool>"])
    tokenizer.save_pretrained(twin)
    message = refusal(base=Path(models["base"]), sft=twin)
    assert "vocabularies differ" in message and "id 261: nothing | '<tool>'" in message


def test_swapped_tokens_say_both_ids(models: dict[str, str], twin: Path) -> None:
    path = twin / "tokenizer.json"
    text = path.read_text()
    a, b = '"A": 37', '"B": 38'
    assert a in text and b in text
    path.write_text(text.replace(a, '"A": 38', 1).replace(b, '"B": 37', 1))
    message = refusal(base=Path(models["base"]), sft=twin)
    assert "id 37: 'A' | 'B'" in message and "id 38: 'B' | 'A'" in message


def test_other_end_token_is_refused(models: dict[str, str], twin: Path) -> None:
    path = twin / "tokenizer_config.json"
    path.write_text(path.read_text().replace('"eos_token": "<|end|>"', '"eos_token": "<|user|>"'))
    message = refusal(base=Path(models["base"]), sft=twin)
    assert "special tokens" in message and "<|user|>" in message


def test_other_size_says_the_field(models: dict[str, str], tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(models["base"])
    config.num_hidden_layers = 1
    small = tmp_path / "small"
    LlamaForCausalLM(config).save_pretrained(small)
    assert "num_hidden_layers: 2 | 1" in refusal(base=Path(models["base"]), small=small)


def test_an_untied_head_is_a_difference(models: dict[str, str], twin: Path) -> None:
    """config.json says that it is tied, but the weights differ: transformers trusts the weights."""
    edit_weights(twin, adding(lm_head__weight=torch.ones(261, 32)))
    assert "lm_head.weight: missing | [261, 32]" in refusal(base=Path(models["base"]), sft=twin)


def with_head(folder: Path) -> Path:
    """The embeddings stored again as a head, as programs without support for tied weights write them."""
    return edit_weights(folder, lambda weights: weights | {"lm_head.weight": weights[EMBEDDINGS].clone()})


def with_stray_file(folder: Path) -> Path:
    """Some publishers ship the same weights twice, under other names."""
    save_file({"layers.0.attention.wq.weight": torch.ones(3, 3)}, folder / "consolidated.safetensors")
    return folder


def with_old_config(folder: Path) -> Path:
    """As transformers 4 writes it, and without a default."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    assert rope["rope_type"] == "default"
    old = {"rope_theta": int(rope["rope_theta"]), "rope_scaling": None, "torch_dtype": config.pop("dtype")}
    del config["rms_norm_eps"]
    (folder / "config.json").write_text(json.dumps(config | old))
    return folder


def with_an_index(folder: Path) -> Path:
    return split_weights(folder, 2)


def with_an_index_of_other_files(folder: Path) -> Path:
    """A single file and the index that it came from: transformers loads the file."""
    index = {"weight_map": {EMBEDDINGS: "model-00001-of-00009.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def with_a_claim_of_quantisation(folder: Path) -> Path:
    return edit_config(folder, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})


ODD = [
    with_head,
    with_stray_file,
    with_old_config,
    with_an_index,
    with_an_index_of_other_files,
    with_a_claim_of_quantisation,
]


@pytest.mark.parametrize("change", ODD)
@pytest.mark.parametrize("base_is_odd", [False, True], ids=["in the tuned model", "in the base"])
def test_an_equivalent_config_is_not_a_difference(
    models: dict[str, str], twin: Path, tmp_path: Path, change: Callable[[Path], Path], base_is_odd: bool
) -> None:
    base = Path(shutil.copytree(models["base"], tmp_path / "base"))
    change(base if base_is_odd else twin)
    require_compatible({"base": base, "sft": twin})


def test_odd_files_are_merged_as_plain_ones_are(models: dict[str, str], tmp_path: Path) -> None:
    odd = {name: Path(shutil.copytree(models[name], tmp_path / name)) for name in ("base", "sft")}
    with_head(with_stray_file(odd["sft"]))
    with_an_index(with_old_config(with_a_claim_of_quantisation(odd["base"])))
    settings = MergeSettings.model_validate({"method": "linear", "models": [{"name": "base"}, {"name": "sft"}]})
    folders = []
    for root, given in ((tmp_path / "plain", models), (tmp_path / "odd", {n: str(p) for n, p in odd.items()})):
        folders.append(local_model(join(str(root), merge_models(Library(str(root)), settings, given).address)))
    plain, merged = map(read_weights, folders)
    assert merged.keys() == plain.keys()
    assert all(torch.equal(merged[name], plain[name]) for name in plain)
    assert "quantization_config" not in (folders[1] / "config.json").read_text()
    load_causal_model(folders[1], "merged")


def test_another_value_is_a_difference_in_either_spelling(models: dict[str, str], twin: Path) -> None:
    with_old_config(twin)
    edit_config(twin, rope_theta=500_000)
    assert "rope_parameters.rope_theta: 10000.0 | 500000" in refusal(base=Path(models["base"]), sft=twin)


def test_a_model_that_lacks_weights_is_refused(models: dict[str, str], twin: Path) -> None:
    edit_weights(twin, without("layers.1.mlp.down_proj"))
    message = refusal(base=Path(models["base"]), sft=twin)
    assert "'sft'" in message and "1 tensors are missing: model.layers.1.mlp.down_proj.weight" in message


def test_a_quantised_model_is_refused(models: dict[str, str], twin: Path) -> None:
    edit_weights(twin, adding(model__layers__0__mlp__up_proj__weight=torch.zeros(64, 32, dtype=torch.int8)))
    message = refusal(base=Path(models["base"]), sft=twin)
    assert "'sft' is quantised" in message and "merging needs plain weights" in message
