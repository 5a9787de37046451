"""Which trainer a model gets: the packed one, or TRL's on padded rows where packed rows would change the result."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.shared.errors import SettingsError
from components.train.engine.make_trainer import TrainerParts, make_trainer
from components.train.methods.method import TrainingData
from components.train.methods.registry import method_of, parse_train_settings
from tests.packed_models import make_packed_model, make_recurrent_model
from tests.tiny_architectures import mixtral

UNUSED: Any = None
"""Supervised training has no reference."""
COLUMNS = {"input_ids": [[5, 6, 7, 8], [9, 10, 11]], "prompt_tokens": [2, 1]}


def made(load: Callable[[], Any], tokenizer: Any, folder: Path, **values: Any) -> Any:
    """The trainer of a model for supervised fine-tuning on two rows, on the CPU without DeepSpeed."""
    from datasets import Dataset

    settings = parse_train_settings({"method": "sft", "precision": "fp32", **values})
    common = {"output_dir": str(folder), "use_cpu": True, "bf16": False, "report_to": "none"}
    return make_trainer(
        TrainerParts(
            method=method_of(settings),
            settings=settings,
            task="train-it",
            common=common | {"gradient_checkpointing": False, "seed": settings.seed},
            data=TrainingData({}, np.arange(2), np.array([4, 3])),
            dataset=Dataset.from_dict(COLUMNS),
            reference=UNUSED,
            tokenizer=tokenizer,
            load=load,
        )
    )


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (make_recurrent_model, "FalconH1ForCausalLM .* has layers of type hybrid"),
        (mixtral, "MixtralForCausalLM has a router whose balance is part of the loss"),
    ],
    ids=["recurrent layers", "a router's loss"],
)
def test_a_model_that_cannot_read_packed_rows_trains_on_padded_ones(
    load: Callable[[], Any], reason: str, tokenizer: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trl import SFTTrainer

    trainer = made(load, tokenizer, tmp_path)
    assert isinstance(trainer, SFTTrainer)
    assert trainer.model.config._attn_implementation != "tutelage_packed"
    assert re.search(f"train-it.*training on padded rows: .*{reason}", capsys.readouterr().err)


def test_padded_rows_are_not_dealt_by_speed(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="shares is 'speed', and this model or method trains on padded rows"):
        made(make_recurrent_model, tokenizer, tmp_path, shares="speed")


SMALL = {"vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
OLDER: dict[str, dict[str, Any]] = {
    "gptj": {**SMALL, "rotary_dim": 4},
    "codegen": {**SMALL, "rotary_dim": 4},
    "bloom": {"vocab_size": 97, "hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2},
    "mpt": {"vocab_size": 97, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64},
}
"""Sizes of architectures whose code precedes transformers' interface of attention functions."""


@pytest.mark.parametrize("name", OLDER)
def test_older_architectures_train_on_padded_rows(name: str, tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM
    from trl import SFTTrainer

    config = AutoConfig.for_model(name, **OLDER[name])
    assert isinstance(made(lambda: AutoModelForCausalLM.from_config(config), tokenizer, tmp_path), SFTTrainer)


def test_adapters_are_the_same_as_trls(tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def load() -> Any:
        return make_packed_model("grouped_heads")

    chosen = {"lora": {"rank": 2}, "seed": 7}
    packed = made(load, tokenizer, tmp_path, **chosen)
    monkeypatch.setattr(type(method_of(parse_train_settings({}))), "objective", lambda *_: None)
    padded = made(load, tokenizer, tmp_path, **chosen)
    assert type(packed).__name__ == "RecordedPackedTrainer" and type(padded).__name__ == "RecordedSFTTrainer"
    expected = {name: value for name, value in padded.model.named_parameters() if value.requires_grad}
    found = {name: value for name, value in packed.model.named_parameters() if value.requires_grad}
    assert found.keys() == expected.keys() and expected
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=name)
