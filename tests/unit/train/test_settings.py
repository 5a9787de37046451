"""Settings that cannot work are refused, and the address depends on what is computed, not where."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.shared.errors import SettingsError
from components.train.engine.deepspeed_config import engine_config, with_config_read, zero_stage
from components.train.methods.dpo import DpoOptions
from components.train.methods.registry import parse_train_settings
from components.train.settings import TrainSettings

BY_SPEED: dict[str, object] = {"shares": "speed"}


def settings(**values: object) -> TrainSettings:
    return parse_train_settings(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "ppo"}, "allowed: sft, kto, dpo, orpo, simpo"),
        ({"method": "dpo", "dpo": {"loss": "hinge", "label_smoothing": 0.1}}, "it goes with sigmoid, robust"),
        ({"method": "dpo", "dpo": {"loss": "robust"}}, "needs a label_smoothing above 0"),
        ({"method": "simpo", "lora": {"dropout": 0.1}}, "lora.dropout 0.1 has no effect with method simpo"),
        ({"learning_rate": 0}, "greater than 0"),
        ({"global_batch": 30, "launch": {"processes_per_node": 4}}, "global_batch 30 is not divisible by the 4 ranks"),
        ({"method": "kto", "global_batch": 24}, "kto.kl_batch 16 does not divide global_batch 24"),
        ({"method": "kto", "kto": {"kl_batch": 4}, "launch": {"processes_per_node": 4}}, "at least 2 rows for each"),
        ({"deepspeed": {"stage": 2, "offload": "optimizer+parameters"}}, "needs stage 3"),
        ({"deepspeed": {"stage": 0, "offload": "optimizer"}}, "needs stage 1, 2 or 3"),
        ({"deepspeed": {"stage": 0}}, "precision bf16 needs deepspeed.stage 1, 2 or 3"),
        ({"deepspeed": {"stage": 4}}, "Input should be 'auto', 0, 1, 2 or 3"),
        ({"micro_batch_tokens": 0}, "greater than or equal to 1"),
        ({"micro_batch_tokens": "most"}, "Input should be 'auto'"),
        (BY_SPEED | {"global_batch": 2, "launch": {"processes_per_node": 3}}, "so global_batch is 3 or more"),
        (BY_SPEED | {"method": "kto", "launch": {"processes_per_node": 3}}, "16 rows that stay together .* 48 or more"),
        (BY_SPEED | {"deepspeed": {"stage": 3}}, "Allowed: stage auto, 0, 1, 2, offload none; or shares: even"),
        (BY_SPEED | {"deepspeed": {"offload": "optimizer"}}, "has stage auto and offload 'optimizer'. Allowed"),
        (
            BY_SPEED | {"method": "grpo"},
            "grpo trains on padded rows: only packed rows are dealt by speed.* Allowed: even",
        ),
        (BY_SPEED | {"launch": {"speeds": [1, 0.5]}}, "launch.speeds has 2 values, and there are 1 rank"),
        (BY_SPEED | {"launch": {"speeds": [0]}}, "greater than 0"),
        ({"batch_size": 3}, "has no such key; allowed: .*global_batch"),
    ],
)
def test_impossible_settings_are_refused_with_the_reason(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**values)


def test_whole_numbers_may_come_as_floats() -> None:
    assert settings(epochs=3.0, global_batch=64.0, launch={"processes_per_node": 2.0}).ranks == 2


def test_hardware_does_not_change_the_address() -> None:
    here = settings(launch={"processes_per_node": 2}, micro_batch=4, checkpoint_steps=7, gradient_checkpointing=False)
    assert here.key_material() == settings().key_material()
    assert settings(micro_batch_tokens="auto").key_material() == settings().key_material()
    assert settings(shares="speed", launch={"speeds": [2]}).key_material() == settings().key_material()
    assert settings(seed=1).key_material() != settings().key_material()


def test_what_auto_chooses_is_no_part_of_the_address_and_an_explicit_stage_is() -> None:
    assert settings(deepspeed={"stage": "auto"}).key_material() == settings().key_material()
    assert settings(gradient_checkpointing="auto").key_material() == settings().key_material()
    two, three = (settings(deepspeed={"stage": stage}).key_material()["deepspeed"] for stage in (2, 3))
    assert two == {"stage": 2, "offload": "none"} != three


def test_a_method_has_its_own_settings_alone() -> None:
    assert "kto" not in settings().key_material()
    with pytest.raises(ValidationError, match="training method 'sft' has no such key"):
        settings(kto={"beta": 0.2})
    assert settings(method="kto", kto={"beta": 0.2}).key_material() != settings(method="kto").key_material()


def test_what_a_method_computes_otherwise_than_before_has_another_address() -> None:
    """With the same settings; other methods, and KTO without a reference point, keep theirs."""
    assert settings(method="kto").key_material()["method_version"] == 2
    others = [settings(method="kto", kto={"loss": "apo_zero_unpaired"}), *(settings(method=m) for m in ("sft", "dpo"))]
    assert not any("method_version" in other.key_material() for other in others)


def test_without_a_reference_point_kto_needs_no_kl_batch() -> None:
    apo = settings(method="kto", global_batch=24, micro_batch=4, kto={"loss": "apo_zero_unpaired"})
    assert apo.forward_rows(ranks=1) == 4


@pytest.mark.parametrize(("options", "beta"), [({}, 0.1), ({"loss": "sigmoid_norm"}, 5.0), ({"beta": 0.5}, 0.5)])
def test_a_loss_has_its_own_beta(options: dict[str, object], beta: float) -> None:
    assert DpoOptions.model_validate(options).strength == beta


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


def test_a_ds_config_cannot_configure_checkpoints() -> None:
    """DeepSpeed's other writers, or folders of one machine, would keep a checkpoint from the store."""
    own = {"zero_optimization": {"stage": 2}, "checkpoint": {"tag_validation": "Fail"}}
    universal = engine_config(with_config_read(settings(deepspeed_config=own)), on_cpu=False, universal=True)
    assert universal["checkpoint"] == {"tag_validation": "Fail", "load_universal": True}
    for wrong in ({"checkpoint": {"use_node_local_storage": True}}, {"datastates_ckpt": {}}):
        with pytest.raises(SettingsError, match=r"sets (checkpoint\.use_node_local_storage|datastates_ckpt)"):
            with_config_read(settings(deepspeed_config=own | wrong))


def test_the_content_of_ds_config_is_part_of_the_address(tmp_path: Path) -> None:
    path = tmp_path / "ds_config.json"
    path.write_text('{"zero_optimization": {"stage": 2}}')
    first = with_config_read(settings(deepspeed_config=str(path))).key_material()
    path.write_text('{"zero_optimization": {"stage": 3}}')
    assert with_config_read(settings(deepspeed_config=str(path))).key_material() != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "ZeRO stage None"),
        ('{"zero_optimization":{"stage":0}}', "ZeRO stage 0"),
    ],
)
def test_a_wrong_ds_config_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ds_config.json").write_text(text)
    with pytest.raises(SettingsError, match=message):
        with_config_read(settings(deepspeed_config=str(tmp_path / "ds_config.json")))


@pytest.mark.parametrize(
    ("block", "fault"),
    [({"stage": 3}, "stage 3"), ({"stage": 2, "offload_optimizer": {"device": "cpu"}}, "offload_optimizer")],
)
def test_shares_by_speed_need_a_ds_config_whose_ranks_are_independent(block: dict[str, object], fault: str) -> None:
    own = {"zero_optimization": block}
    with pytest.raises(SettingsError, match=f"has zero_optimization with {fault}, and shares is 'speed'") as caught:
        with_config_read(settings(shares="speed", deepspeed_config=own))
    assert caught.value.allowed == ("stage 1", "stage 2")
    assert with_config_read(settings(deepspeed_config=own)).deepspeed_config == own


def test_with_shares_by_speed_the_job_decides_the_batch_sizes_of_a_ds_config() -> None:
    own = {"zero_optimization": {"stage": 2}, "train_batch_size": 32}
    with pytest.raises(SettingsError, match=r"train_batch_size is 32, but shares .* use 'auto'"):
        with_config_read(settings(shares="speed", deepspeed_config=own))


def test_rows_that_are_dealt_by_speed_need_not_divide_by_the_ranks() -> None:
    assert settings(shares="speed", global_batch=30, launch={"processes_per_node": 4}).ranks == 4
    kto = settings(method="kto", shares="speed", global_batch=48, launch={"processes_per_node": 3})
    assert (kto.rows_together, kto.forward_rows(1)) == (16, 16)


def test_a_missing_ds_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no deepspeed_config at .*none\.json"):
        with_config_read(settings(deepspeed_config=str(tmp_path / "none.json")))


def test_on_a_cpu_torchs_adam_replaces_deepspeeds() -> None:
    own = {"zero_optimization": {"stage": 2}, "optimizer": {"type": "AdamW", "params": {"lr": "auto"}}}
    given = settings(deepspeed_config=own)
    config = engine_config(given, on_cpu=True)
    assert config["optimizer"]["params"] == {"lr": "auto", "weight_decay": "auto", "torch_adam": True}
    assert config["zero_force_ds_cpu_optimizer"] is False
    assert given.deepspeed_config == own
