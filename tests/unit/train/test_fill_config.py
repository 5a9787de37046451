"""A ds_config.json and the settings: absent keys are filled in, and all contradictions are refused at once."""

from typing import Any

import pytest

from components.shared.errors import SettingsError
from components.train.engine.deepspeed_config import engine_config, filled_in, with_config_read
from components.train.engine.fill_config import adam_arguments
from components.train.methods.registry import parse_train_settings
from components.train.settings import TrainSettings

ZERO: dict[str, Any] = {"zero_optimization": {"stage": 2}}
ADAM = {"type": "AdamW", "params": {}}


def settings(own: dict[str, Any], **values: Any) -> TrainSettings:
    values = {"learning_rate": 2e-5, "weight_decay": 0.1, "max_grad_norm": 0.5, "global_batch": 32} | values
    return parse_train_settings({"deepspeed_config": ZERO | own, "launch": {"processes_per_node": 2}} | values)


def names(own: dict[str, Any], **values: Any) -> dict[str, object]:
    return {each.name: each.value for each in filled_in(with_config_read(settings(own, **values)))}


def test_an_empty_file_gets_batches_clipping_and_precision() -> None:
    assert names({}) == {
        "train_batch_size": 32,
        "train_micro_batch_size_per_gpu": 8,
        "gradient_accumulation_steps": 2,
        "gradient_clipping": 0.5,
        "bf16.enabled": True,
    }
    config = engine_config(settings({}), on_cpu=False)
    assert config["gradient_clipping"] == config["bf16"]["enabled"] == config["train_batch_size"] == "auto"


def test_a_token_budget_decides_the_micro_batches_in_the_job() -> None:
    found = names({}, micro_batch_tokens=4096)
    assert found["train_micro_batch_size_per_gpu"] is found["gradient_accumulation_steps"] is None
    assert found["train_batch_size"] == 32
    with pytest.raises(SettingsError, match="per_gpu is 4, but micro_batch_tokens and the rows that fit determine it"):
        names({"train_micro_batch_size_per_gpu": 4}, micro_batch_tokens="auto")


def test_an_optimizer_block_gets_learning_rate_and_weight_decay() -> None:
    for block in (ADAM, {"type": "Adam"}, {"type": "Lamb", "params": {"max_coeff": 0.3}}):
        found = names({"optimizer": block})
        assert (found["optimizer.params.lr"], found["optimizer.params.weight_decay"]) == (2e-5, 0.1)
    config = engine_config(settings({"optimizer": {"type": "Lamb", "params": {"max_coeff": 0.3}}}), on_cpu=False)
    assert config["optimizer"]["params"] == {"max_coeff": 0.3, "lr": "auto", "weight_decay": "auto"}


@pytest.mark.parametrize(
    ("scheduler", "kind", "params"),
    [
        ("constant", "WarmupLR", {"warmup_min_lr", "warmup_max_lr", "warmup_type", "warmup_num_steps"}),
        (
            "linear",
            "WarmupDecayLR",
            {"warmup_min_lr", "warmup_max_lr", "warmup_type", "warmup_num_steps", "total_num_steps"},
        ),
        ("cosine", "WarmupCosineLR", {"warmup_min_ratio", "warmup_type", "warmup_num_steps", "total_num_steps"}),
    ],
)
def test_a_scheduler_block_gets_what_its_kind_takes(scheduler: str, kind: str, params: set[str]) -> None:
    config = engine_config(settings({"scheduler": {"type": kind}}, scheduler=scheduler), on_cpu=False)
    assert config["scheduler"]["params"].keys() == params
    assert config["scheduler"]["params"]["warmup_type"] == "linear"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"gradient_clipping": 1.0}, r"gradient_clipping is 1\.0, but max_grad_norm makes it 0\.5"),
        ({"gradient_clipping": 0}, "gradient_clipping is 0,"),
        ({"train_batch_size": 64}, "train_batch_size is 64, but global_batch makes it 32"),
        ({"train_micro_batch_size_per_gpu": 4}, "train_micro_batch_size_per_gpu is 4, but micro_batch.* makes it 8"),
        ({"gradient_accumulation_steps": 1}, "gradient_accumulation_steps is 1, .* makes it 2"),
        ({"bf16": {"enabled": False}}, "bf16.enabled is False, but precision makes it True"),
        ({"fp16": {"enabled": True}}, "fp16 is on"),
        ({"bfloat16": {"enabled": True}}, "bfloat16 is on, but bf16 configures"),
        ({"torch_autocast": {"enabled": True}}, "torch_autocast is on"),
        (
            {"optimizer": {"type": "AdamW", "params": {"lr": 1e-3}}},
            r"optimizer\.params\.lr is 0\.001, but learning_rate",
        ),
        ({"optimizer": {"type": "AdamW", "params": {"weight_decay": 0}}}, r"weight_decay is 0, .* makes it 0\.1"),
        ({"optimizer": {"type": "AdamW", "params": {"lr": "2e-5"}}}, "lr is '2e-5'"),
        ({"optimizer": {"params": {"lr": "auto"}}}, "optimizer has no type"),
        ({"optimizer": "AdamW"}, "optimizer is 'AdamW'"),
        ({"optimizer": {"type": "AdamW", "params": None}}, r"optimizer\.params is None"),
        ({"scheduler": {"type": "OneCycle"}}, "scheduler.type is 'OneCycle', but scheduler cosine makes it"),
        ({"scheduler": {"type": "WarmupDecayLR"}}, "scheduler cosine makes it 'WarmupCosineLR'"),
        ({"scheduler": {"type": "WarmupCosineLR", "params": {"total_num_steps": 10}}}, "determine it: use 'auto'"),
        ({"scheduler": {"type": "WarmupCosineLR", "params": {"warmup_type": "log"}}}, "makes it 'linear'"),
        ({"bf16": True}, "bf16 is True"),
    ],
)
def test_a_contradiction_is_refused_with_both_values(own: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        with_config_read(settings(own))
    assert caught.value.exit_code == 2


def test_all_contradictions_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        with_config_read(settings({"gradient_clipping": 1.0, "train_batch_size": 16}))
    assert "gradient_clipping is 1.0" in caught.value.problem
    assert "train_batch_size is 16" in caught.value.problem
    assert "'auto'" in caught.value.remedy


def test_values_that_agree_are_not_changed() -> None:
    own = {
        "train_batch_size": 32,
        "train_micro_batch_size_per_gpu": 8,
        "gradient_accumulation_steps": 2,
        "gradient_clipping": 0.5,
        "bf16": {"enabled": True},
        "fp16": {"enabled": False},
        "optimizer": {"type": "AdamW", "params": {"lr": 2e-5, "weight_decay": 0.1, "betas": [0.9, 0.95]}},
        "wall_clock_breakdown": True,
    }
    assert names(own) == {}
    assert engine_config(settings(own), on_cpu=False) == ZERO | own


def test_offload_without_an_optimizer_block_uses_torchs_optimizer() -> None:
    offload = {"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}
    assert names(offload)["zero_force_ds_cpu_optimizer"] is False
    assert "zero_force_ds_cpu_optimizer" not in names(offload | {"optimizer": ADAM})
    with pytest.raises(SettingsError, match="zero_force_ds_cpu_optimizer is True"):
        with_config_read(settings(offload | {"zero_force_ds_cpu_optimizer": True}))


def test_kto_forwards_hold_kl_batch_over_the_ranks() -> None:
    found = names({}, method="kto", kto={"kl_batch": 16})
    assert found["train_micro_batch_size_per_gpu"] == 8
    with pytest.raises(SettingsError, match=r"is 4, but kto\.kl_batch / ranks makes it 8"):
        with_config_read(settings({"train_micro_batch_size_per_gpu": 4}, method="kto", kto={"kl_batch": 16}))


def test_betas_of_the_file_become_the_trainers() -> None:
    """There are no such settings, and transformers refuses a file whose betas differ from its arguments."""
    params = {"betas": [0.9, 0.95], "eps": 1e-6}
    given = {"adam_beta1": 0.9, "adam_beta2": 0.95, "adam_epsilon": 1e-6}
    assert adam_arguments({"optimizer": {"type": "AdamW", "params": params}}) == given
    assert adam_arguments({"optimizer": {"type": "AdamW", "params": {"betas": "auto"}}}) == adam_arguments({}) == {}
