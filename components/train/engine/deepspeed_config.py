"""DeepSpeed's configuration: from the settings, or the user's own ds_config.json, completed by them."""

import json
from pathlib import Path
from typing import Any, TypeVar

from components.launch.fewer_nodes import on_fewest_nodes
from components.shared.errors import NotFoundError, SettingsError
from components.shared.log import say
from components.shared.store.open_store import open_store
from components.train.engine.fill_config import AUTO, Filled, check_config, fill_config
from components.train.settings import SHARES_RULE, SHARES_STAGES, TrainSettings, ZeroSettings

SomeSettings = TypeVar("SomeSettings", bound=TrainSettings)
STAGES = (1, 2, 3)
CHECKPOINT_KEYS = ("tag_validation",)
CHECKPOINT_BLOCKS = ("datastates_ckpt",)
# 100 MB of bf16 gradients in one reduction. transformers' 'auto' is hidden_size squared: one for nearly every matrix.
BUCKET_ELEMENTS = 50_000_000


def with_config_read(settings: SomeSettings) -> SomeSettings:
    """The settings with the content of `deepspeed_config` instead of its path, so that the content is in the key.

    Raises:
        SettingsError: the file is missing or is not valid JSON, it lacks a ZeRO stage from 1 to 3, or it sets
            another value than the settings, on all nodes or on the fewest.
    """
    config = settings.deepspeed_config
    if config is None:
        return settings
    content = _read(config) if isinstance(config, str) else config
    where = config if isinstance(config, str) else "deepspeed_config"
    _check_stage(content, where)
    _check_checkpoints(content, where)
    _check_shares(content, settings, where)
    check_config(content, settings, where)
    if settings.launch.may_shrink:
        fewest = settings.with_launch(on_fewest_nodes(settings.launch))
        check_config(content, fewest, f"{where} on the fewest nodes (launch.least_nodes)")
    return settings.model_copy(update={"deepspeed_config": content})


def _read(reference: str) -> dict[str, Any]:
    folder, _, name = reference.rpartition("/")
    try:
        content = json.loads(open_store(folder or str(Path.cwd())).read(name))
    except NotFoundError as error:
        raise SettingsError(f"no deepspeed_config at {reference!r}", remedy="correct the path or the URI") from error
    except ValueError as error:
        raise SettingsError(
            f"deepspeed_config {reference!r} is not valid JSON: {error}", remedy="correct the file"
        ) from error
    if not isinstance(content, dict):
        raise SettingsError(f"deepspeed_config {reference!r} is not a JSON object", remedy="correct the file")
    return content


def _check_stage(content: dict[str, Any], where: str) -> None:
    block = content.get("zero_optimization")
    stage = block.get("stage") if isinstance(block, dict) else None
    if stage not in STAGES:
        raise SettingsError(
            f"{where} has ZeRO stage {stage!r}",
            rule="Tutelage trains with ZeRO, which zero_optimization.stage configures",
            allowed=[str(stage) for stage in STAGES],
            remedy="set zero_optimization.stage in the file",
        )


def _check_checkpoints(content: dict[str, Any], where: str) -> None:
    wrong = [f"checkpoint.{name}" for name in content.get("checkpoint", {}) if name not in CHECKPOINT_KEYS]
    wrong += [name for name in CHECKPOINT_BLOCKS if name in content]
    if wrong:
        raise SettingsError(
            f"{where} sets {', '.join(wrong)}",
            rule="Tutelage writes and reads checkpoints itself: in the background, through the store",
            allowed=[f"checkpoint.{name}" for name in CHECKPOINT_KEYS],
            remedy="remove it from the file",
        )


def _check_shares(content: dict[str, Any], settings: TrainSettings, where: str) -> None:
    zero = content["zero_optimization"]
    wrong = [
        name
        for name in ("offload_optimizer", "offload_param")
        if (zero.get(name) or {}).get("device", "none") != "none"
    ]
    wrong += ["stage 3"] if zero["stage"] not in SHARES_STAGES else []
    if settings.shares == "speed" and wrong:
        raise SettingsError(
            f"{where} has zero_optimization with {', '.join(wrong)}, and shares is 'speed'",
            rule=SHARES_RULE,
            allowed=[f"stage {stage}" for stage in STAGES if stage in SHARES_STAGES],
            remedy="change the file, or set shares to even",
        )


def filled_in(settings: TrainSettings) -> tuple[Filled, ...]:
    """The keys that the user's ds_config.json leaves out, and their values from the settings."""
    if not isinstance(settings.deepspeed_config, dict):
        return ()
    return fill_config(settings.deepspeed_config, settings)[1]


def zero_stage(settings: TrainSettings) -> int:
    """The ZeRO stage of the training, once `fit_memory` has decided what the settings leave to it."""
    if isinstance(settings.deepspeed_config, dict):
        return int(settings.deepspeed_config["zero_optimization"]["stage"])
    if settings.deepspeed.stage == "auto":
        raise ValueError("deepspeed.stage is auto until fit_memory has decided it")
    return settings.deepspeed.stage


def engine_config(settings: TrainSettings, on_cpu: bool, universal: bool = False) -> dict[str, Any]:
    """The engine's configuration; transformers replaces every 'auto' by its arguments, which follow the settings.

    Args:
        settings: of the training.
        on_cpu: whether the training runs on a CPU.
        universal: whether the training continues from a universal checkpoint.
    """
    config = _plain_config(settings, on_cpu)
    return config | {"checkpoint": {**config.get("checkpoint", {}), "load_universal": True}} if universal else config


def _plain_config(settings: TrainSettings, on_cpu: bool) -> dict[str, Any]:
    if isinstance(settings.deepspeed_config, dict):
        config, _ = fill_config(settings.deepspeed_config, settings)
        return _fit_for_cpu(config) if on_cpu else config
    return {
        "train_batch_size": AUTO,
        "train_micro_batch_size_per_gpu": AUTO,
        "gradient_accumulation_steps": AUTO,
        "gradient_clipping": AUTO,
        "bf16": {"enabled": AUTO},
        "zero_optimization": _zero_block(settings.deepspeed, zero_stage(settings), on_cpu),
        # torch's AdamW also updates offloaded partitions, so DeepSpeed's own CPU Adam, which has to be compiled, is not
        # needed.
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 1 << 30,
    }


def _zero_block(zero: ZeroSettings, stage: int, on_cpu: bool) -> dict[str, Any]:
    if stage == 0:
        return {"stage": 0}
    block: dict[str, Any] = {
        "stage": stage,
        "contiguous_gradients": True,
        "overlap_comm": not on_cpu,
        "reduce_bucket_size": BUCKET_ELEMENTS,
    }
    if stage == 3:
        block |= {"stage3_prefetch_bucket_size": AUTO, "stage3_param_persistence_threshold": AUTO}
    if zero.offload != "none":
        block["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    if zero.offload == "optimizer+parameters":
        block["offload_param"] = {"device": "cpu", "pin_memory": True}
    return block


def _fit_for_cpu(config: dict[str, Any]) -> dict[str, Any]:
    """On a CPU, use torch's Adam for the same update: DeepSpeed's own would have to be compiled first."""
    config.setdefault("zero_force_ds_cpu_optimizer", False)
    optimizer = config.get("optimizer")
    if isinstance(optimizer, dict) and str(optimizer.get("type", "")).lower() in {"adam", "adamw"}:
        optimizer.setdefault("params", {})["torch_adam"] = True
        say("train", "no GPU: DeepSpeed uses torch's Adam, as with optimizer.params.torch_adam")
    return config
