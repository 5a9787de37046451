"""A start that cannot be trained is refused from its files, before a job is started."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from components.models.stored.stored_model import read_folder
from components.shared.errors import ModelError, SettingsError
from components.train.check_start import check_start, check_tokens, learned_positions
from components.train.engine.report_failure import explained
from components.train.methods.registry import parse_train_settings
from components.train.settings import TrainSettings
from tests.edit_model import adding, edit_config, edit_weights, split_weights, without
from tests.tiny_architectures import save_architecture
from tests.tiny_model import save_tiny_model


def settings(**given: Any) -> TrainSettings:
    return parse_train_settings({"precision": "fp32", "max_length": 64} | given)


def lora(*targets: str) -> dict[str, Any]:
    return {"lora": {"target_modules": targets}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def start(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "start"))


def refused(start: Path, kind: type[Exception] = ModelError, **given: Any) -> Any:
    with pytest.raises(kind) as caught:
        check_start(str(start), settings(**given), "train")
    return caught.value


def test_a_complete_start_passes(start: Path) -> None:
    check_start(str(start), settings(**lora("q_proj", "mlp.down_proj")), "train")
    check_start(str(split_weights(start, 3)), settings(), "train")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (without("lm_head"), "no lm_head.weight"),
        (without("layers.1."), "model.layers.1"),
        (lambda tensors: {f"base_model.model.{n}": t for n, t in tensors.items()}, "'base_model.model.' in front"),
    ],
    ids=["head", "layer", "peft"],
)
def test_what_the_headers_show_is_refused(start: Path, change: Callable[[Any], Any], named: str) -> None:
    assert named in refused(edit_weights(start, change)).problem


def test_fewer_layers_than_the_files_hold_are_refused(start: Path) -> None:
    assert "1 layers by its config.json, and its files also hold model.layers.1" in str(
        refused(edit_config(start, num_hidden_layers=1))
    )


def test_layers_that_predict_further_tokens_may_follow(tmp_path: Path) -> None:
    """GLM-4.5's files hold one layer more than num_hidden_layers, which num_nextn_predict_layers counts."""
    start = save_architecture("glm4_moe", tmp_path)
    edit_weights(start, adding(model__layers__2__eh_proj__weight=torch.ones(4, 4)))
    check_start(str(start), settings(), "train")


def test_an_adapter_alone_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    assert "merge" in refused(tmp_path).remedy


class TestTokens:
    def test_a_new_token_without_a_row_is_named(self, start: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(start)
        tokenizer.add_tokens(["<tool>", "<think>"])
        tokenizer.save_pretrained(start)
        error = refused(start)
        assert "2 tokens above the 261 rows of its embeddings: '<tool>' (id 261), '<think>' (id 262)" in error.problem
        assert "resize_token_embeddings" in error.remedy

    def test_special_tokens_count_as_well(self, start: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(start)
        tokenizer.add_special_tokens({"eos_token": "<|im_end|>"})
        tokenizer.save_pretrained(start)
        assert "'<|im_end|>' (id 261)" in refused(start).problem

    def test_rows_are_those_of_the_weights(self, start: Path) -> None:
        """config.json may be the one that is right for the tokenizer."""
        small = torch.zeros(200, 32)
        edit_weights(start, adding(model__embed_tokens__weight=small, lm_head__weight=small.clone()))
        edit_config(start, vocab_size=200)
        assert "above the 200 rows" in refused(start).problem

    def test_more_rows_than_tokens_are_usual(self, tmp_path: Path) -> None:
        check_start(str(save_tiny_model(tmp_path, vocab_size=320)), settings(), "train")

    def test_a_placeholder_of_the_larger_family_passes(self, start: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(start)
        tokenizer.add_special_tokens({"additional_special_tokens": ["<image_soft_token>"]})
        tokenizer.save_pretrained(start)
        check_start(str(start), settings(), "train")

    @pytest.mark.parametrize(
        "files",
        [
            {"vocab.json": json.dumps({str(n): n for n in range(262)})},
            {"vocab.txt": "\n".join(map(str, range(262)))},
            {"vocab.json": json.dumps({"a": 0}), "added_tokens.json": json.dumps({"<tool>": 261})},
            {"tokenizer.json": json.dumps({"model": {"vocab": [[str(n), 0.0] for n in range(262)]}})},
            {
                "tokenizer.json": json.dumps({"model": {"vocab": {"a": 0}}}),
                "tokenizer_config.json": json.dumps({"added_tokens_decoder": {"261": {"content": "<tool>"}}}),
            },
        ],
        ids=["vocab.json", "vocab.txt", "added_tokens.json", "unigram", "added_tokens_decoder"],
    )
    def test_older_tokenizers_are_read_too(self, start: Path, files: dict[str, str]) -> None:
        (start / "tokenizer.json").unlink()
        (start / "tokenizer_config.json").unlink()
        for name, text in files.items():
            (start / name).write_text(text)
        assert "1 token above the 261 rows" in refused(start).problem

    def test_tokens_that_only_the_loaded_tokenizer_has_count_where_rows_hold_them(self, start: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(start)
        tokenizer.add_tokens(["<tool>"])
        check_tokens(start, "mine", tokenizer)
        tokenizer.add_special_tokens({"pad_token": "<none>"})
        with pytest.raises(ModelError, match=r"'<none>' \(id 262\)"):
            check_tokens(start, "mine", tokenizer)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (start / name).unlink()
        with pytest.raises(ModelError, match=r"'<tool>' \(id 261\)"):
            check_tokens(start, "mine", tokenizer)


class TestPositions:
    @pytest.mark.parametrize("name", ["gpt2", "opt"])
    def test_a_max_length_above_learned_positions_is_refused(self, name: str, tmp_path: Path) -> None:
        start = save_architecture(name, tmp_path)
        check_start(str(start), settings(max_length=64), "train")
        error = refused(start, SettingsError, max_length=65)
        assert "max_length 65 is above the 64 positions" in error.problem and "64 or less" in error.remedy
        assert error.exit_code == 2

    def test_the_table_counts_where_it_is_shorter_than_config_says(self, tmp_path: Path) -> None:
        start = save_architecture("gpt2", tmp_path)
        edit_config(start, n_positions=128)
        assert learned_positions(read_folder(start)) == 64

    @pytest.mark.parametrize(
        ("model_type", "config", "rows", "limit"),
        [
            ("gptj", {"n_positions": 2048}, None, 2048),
            ("codegen", {"n_positions": 2048}, None, 2048),
            ("mpt", {"max_seq_len": 2048}, None, 2048),
            ("roberta", {"max_position_embeddings": 514, "pad_token_id": 1}, 514, 512),
            ("bloom", {"seq_length": 2048}, None, None),
        ],
    )
    def test_fixed_tables_without_weights_count(
        self, start: Path, model_type: str, config: dict[str, Any], rows: int | None, limit: int | None
    ) -> None:
        edit_config(start, model_type=model_type, max_position_embeddings=None, **{"num_hidden_layers": 2})
        edit_config(start, **config)
        if rows:
            edit_weights(start, adding(roberta__embeddings__position_embeddings__weight=torch.zeros(rows, 4)))
        assert learned_positions(read_folder(start)) == limit

    def test_rotary_positions_have_no_limit_but_a_longer_row_is_logged(
        self, start: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        check_start(str(start), settings(max_length=512), "train")
        assert capfd.readouterr().err == ""
        check_start(str(start), settings(max_length=1024), "train")
        assert "max_length 1024 is above the 512 positions" in capfd.readouterr().err

    def test_a_vision_towers_positions_are_not_the_texts(self, tmp_path: Path) -> None:
        assert learned_positions(read_folder(save_architecture("gemma3_vision", tmp_path))) is None


class TestTargets:
    @pytest.mark.parametrize(
        ("targets", "named"),
        [
            (("q_prj",), "'q_prj'"),
            (("q_proj", "query_key_value"), "'query_key_value'"),
            (("input_layernorm",), "'input_layernorm'"),
            ((".*_proj",), "'.*_proj'"),
            (("all-linear", "q_proj"), "'all-linear'"),
        ],
        ids=str,
    )
    def test_a_name_that_matches_nothing_is_refused(self, start: Path, targets: tuple[str, ...], named: str) -> None:
        error = refused(start, SettingsError, **lora(*targets))
        assert f"lacks layer {named}" in error.problem and error.exit_code == 2
        assert {"q_proj", "down_proj", "all-linear"} <= set(error.allowed)

    def test_other_architectures_have_other_names(self, tmp_path: Path) -> None:
        start = save_architecture("gpt2", tmp_path)
        check_start(str(start), settings(**lora("c_attn")), "train")
        assert "c_attn" in refused(start, SettingsError, **lora("q_proj")).allowed

    def test_a_vision_towers_layers_are_not_targets(self, tmp_path: Path) -> None:
        start = save_architecture("qwen3_5_vision", tmp_path)
        check_start(str(start), settings(**lora("q_proj")), "train")
        assert "'qkv'" in refused(start, SettingsError, **lora("qkv")).problem

    def test_what_only_peft_sees_is_explained(self) -> None:
        error = explained(ValueError("Target modules {'w1'} not found in the base model. Please check …"))
        assert isinstance(error, SettingsError) and "w1" in error.problem


class TestStages:
    TWO: ClassVar[dict[str, Any]] = {"stages": {}, "launch": {"processes_per_node": 2}}

    def test_layers_that_config_does_not_count_are_refused(self, tmp_path: Path) -> None:
        start = save_architecture("gpt2", tmp_path)
        check_start(str(start), settings(), "train")
        error = refused(start, SettingsError, **self.TWO)
        assert f"the layers of {str(start)!r} cannot be found" in error.problem and error.exit_code == 2
        assert "leave stages out, or start from a decoder" in error.remedy

    def test_layers_that_stages_do_not_fit_are_refused_with_those_that_are_allowed(self, start: Path) -> None:
        check_start(str(start), settings(**self.TWO), "train")
        error = refused(start, SettingsError, **self.TWO | {"stages": {"layers": [4, 2]}})
        assert "stages.layers [4, 2] add up to 6, and the model has 2 layers" in error.problem
        assert error.allowed == ("2 to 2 stages", "stages.layers that add up to 2")


QUANTIZED = {
    "awq": {"qweight": torch.zeros(32, 4, dtype=torch.int32), "scales": torch.zeros(1, 32, dtype=torch.float16)},
    "gptq": {"qweight": torch.zeros(4, 32, dtype=torch.int32), "g_idx": torch.zeros(32, dtype=torch.int32)},
    "bitsandbytes": {"weight": torch.zeros(512, 1, dtype=torch.uint8), "weight.absmax": torch.zeros(16)},
    "fp8": {"weight": torch.zeros(32, 32).to(torch.float8_e4m3fn), "weight_scale_inv": torch.ones(1, 1)},
    "compressed-tensors": {"weight_packed": torch.zeros(32, 4, dtype=torch.int32), "weight_scale": torch.ones(32, 1)},
    "int8": {"weight": torch.zeros(32, 32, dtype=torch.int8), "SCB": torch.ones(32)},
}


class TestQuantized:
    @pytest.mark.parametrize("claimed", [True, False], ids=["in config.json", "not in config.json"])
    @pytest.mark.parametrize("method", QUANTIZED)
    def test_quantised_weights_are_refused_with_the_remedy(self, start: Path, method: str, claimed: bool) -> None:
        layer = "model.layers.0.mlp.up_proj"
        packed = {f"{layer}.{name}": tensor for name, tensor in QUANTIZED[method].items()}
        edit_weights(start, lambda tensors: without(layer)(tensors) | packed)
        if claimed:
            edit_config(start, quantization_config={"quant_method": method})
        error = refused(start)
        assert "is quantised" in error.problem and layer in error.problem and "dequantise" in error.remedy
        assert (method in error.problem) is claimed or method in layer

    def test_plain_weights_pass_whatever_config_claims(self, start: Path) -> None:
        edit_config(start, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
        check_start(str(start), settings(), "train")

    def test_masks_of_old_checkpoints_are_not_quantised_weights(self, tmp_path: Path) -> None:
        start = save_architecture("gpt2", tmp_path)
        mask = torch.ones(1, 1, 64, 64, dtype=torch.uint8)
        edit_weights(start, lambda tensors: tensors | {"transformer.h.0.attn.bias": mask})
        check_start(str(start), settings(), "train")


def test_the_check_needs_no_torch(start: Path) -> None:
    """It runs in the step's own process, whose image has no torch."""
    program = (
        "import sys\nfrom components.train.check_start import check_start\n"
        "from components.train.methods.sft import SftSettings\n"
        f"check_start({str(start)!r}, SftSettings(max_length=64), 'train')\n"
        "print([name for name in ('torch', 'transformers', 'safetensors') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
