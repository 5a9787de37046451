"""Settings that cannot work are refused, and the address follows what is computed, not where."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.shared.errors import SettingsError
from components.train.deepspeed_config import engine_config, with_config_read, zero_stage
from components.train.settings import TrainSettings


def settings(**values: object) -> TrainSettings:
    return TrainSettings.model_validate(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "dpo"}, "allowed: sft, kto"),
        ({"learning_rate": 0}, "greater than 0"),
        ({"global_batch": 30, "launch": {"processes_per_node": 4}}, "global_batch 30 is not divisible by the 4 ranks"),
        ({"method": "kto", "global_batch": 24}, "kto.kl_batch 16 does not divide global_batch 24"),
        ({"method": "kto", "kto": {"kl_batch": 4}, "launch": {"processes_per_node": 4}}, "at least 2 rows for each"),
        ({"deepspeed": {"offload": "optimizer+parameters"}}, "needs stage 3"),
        ({"deepspeed": {"stage": 1}}, "Input should be 2 or 3"),
        ({"batch_size": 3}, "Extra inputs"),
    ],
)
def test_impossible_settings_say_why(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**values)


def test_whole_numbers_may_come_as_floats() -> None:
    assert settings(epochs=3.0, global_batch=64.0, launch={"processes_per_node": 2.0}).ranks == 2


def test_hardware_does_not_change_the_address() -> None:
    here = settings(launch={"processes_per_node": 2}, micro_batch=4, checkpoint_steps=7, gradient_checkpointing=False)
    assert here.key_material() == settings().key_material()
    assert settings(seed=1).key_material() != settings().key_material()


def test_settings_of_another_method_do_not_change_the_address() -> None:
    assert settings(kto={"beta": 0.2}).key_material() == settings().key_material()
    assert settings(method="kto", kto={"beta": 0.2}).key_material() != settings(method="kto").key_material()


def test_the_users_ds_config_is_completed_and_otherwise_used_unchanged(tmp_path: Path) -> None:
    own = {"zero_optimization": {"stage": 3, "stage3_max_live_parameters": 1e9}, "train_batch_size": "auto"}
    (tmp_path / "ds_config.json").write_text(json.dumps(own))
    read = with_config_read(settings(deepspeed_config=str(tmp_path / "ds_config.json")))
    assert read.deepspeed_config == own
    assert engine_config(read, on_cpu=False) == own | {
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": "auto"},
    }
    assert zero_stage(read) == 3


def test_checkpoints_are_not_the_users_to_configure() -> None:
    """DeepSpeed's other writers and its folders of one machine would keep a checkpoint from the store."""
    own = {"zero_optimization": {"stage": 2}, "checkpoint": {"tag_validation": "Fail"}}
    universal = engine_config(with_config_read(settings(deepspeed_config=own)), on_cpu=False, universal=True)
    assert universal["checkpoint"] == {"tag_validation": "Fail", "load_universal": True}
    for wrong in ({"checkpoint": {"use_node_local_storage": True}}, {"datastates_ckpt": {}}):
        with pytest.raises(SettingsError, match=r"sets (checkpoint\.use_node_local_storage|datastates_ckpt)"):
            with_config_read(settings(deepspeed_config=own | wrong))


def test_the_content_of_ds_config_makes_the_address(tmp_path: Path) -> None:
    path = tmp_path / "ds_config.json"
    path.write_text('{"zero_optimization": {"stage": 2}}')
    first = with_config_read(settings(deepspeed_config=str(path))).key_material()
    path.write_text('{"zero_optimization": {"stage": 3}}')
    assert with_config_read(settings(deepspeed_config=str(path))).key_material() != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "no JSON object"),
        ("{}", "ZeRO stage None"),
        ('{"zero_optimization":{"stage":1}}', "1"),
    ],
)
def test_a_wrong_ds_config_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ds_config.json").write_text(text)
    with pytest.raises(SettingsError, match=message):
        with_config_read(settings(deepspeed_config=str(tmp_path / "ds_config.json")))


def test_a_missing_ds_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no deepspeed_config at .*none\.json"):
        with_config_read(settings(deepspeed_config=str(tmp_path / "none.json")))


def test_on_a_cpu_torch_updates_what_deepspeed_would_compile() -> None:
    own = {"zero_optimization": {"stage": 2}, "optimizer": {"type": "AdamW", "params": {"lr": "auto"}}}
    given = settings(deepspeed_config=own)
    config = engine_config(given, on_cpu=True)
    assert config["optimizer"]["params"] == {"lr": "auto", "weight_decay": "auto", "torch_adam": True}
    assert config["zero_force_ds_cpu_optimizer"] is False
    assert given.deepspeed_config == own
