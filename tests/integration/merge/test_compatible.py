"""Models that must not be merged are refused, and the message says where they differ."""

import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from components.merge.compatible import require_compatible
from components.shared.errors import ModelError


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


def test_other_tensors_say_their_names(models: dict[str, str], twin: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(twin / "model.safetensors")
    weights["model.norm.bias"] = weights["model.norm.weight"].clone()
    save_file(weights, twin / "model.safetensors", metadata={"format": "pt"})
    assert "model.norm.bias: missing | [32]" in refusal(base=Path(models["base"]), sft=twin)
