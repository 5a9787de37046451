"""Completes a ds_config.json from the train settings, and refuses values that contradict them.

transformers replaces "auto" by its arguments' values and ignores absent keys, for which DeepSpeed has its own defaults:
no gradient clipping, a learning rate of 1e-3 and no weight decay in an optimizer block, a logarithmic warm-up, fp32
arithmetic. So absent keys become "auto" here, and values are compared before a job starts.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.shared.errors import SettingsError
from components.train.batches.split import split_batch
from components.train.settings import TrainSettings

AUTO = "auto"
SCHEDULERS = {"WarmupLR": "constant", "WarmupDecayLR": "linear", "WarmupCosineLR": "cosine"}
"""DeepSpeed's learning-rate schedules by name, and the equivalent value of `scheduler`."""
REMOVED = {"bfloat16": "bf16", "fp16": "precision: bf16 or fp32", "amp": "bf16", "torch_autocast": "bf16"}
"""Blocks that would silently change the precision, and what configures it instead."""


@dataclass(frozen=True)
class Key:
    """A key of the file, as its path, whose value follows from the settings.

    `value` is that value, None where it depends on the number of rows that fit; `filled` is what an absent key becomes:
    "auto", or the value where transformers does not support "auto". `required` keys are filled in.
    """

    path: tuple[str, ...]
    setting: str
    value: float | bool | str | None
    required: bool = True
    filled: Any = AUTO

    @property
    def name(self) -> str:
        """As a person writes it: optimizer.params.lr."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Filled:
    """A key that the file left out, its value, and the setting that it follows from."""

    name: str
    value: float | bool | str | None
    setting: str

    def __str__(self) -> str:
        value = "decided in the job" if self.value is None else self.value
        return f"{self.name}: {value} ({self.setting})"


def fill_config(config: dict[str, Any], settings: TrainSettings) -> tuple[dict[str, Any], tuple[Filled, ...]]:
    """The file's content with the keys that it leaves out, and those keys. The given content is not changed."""
    complete, filled = copy.deepcopy(config), []
    for key in _keys(complete, settings):
        block = complete
        for part in key.path[:-1]:
            block = block.setdefault(part, {})
        if key.required and key.path[-1] not in block:
            block[key.path[-1]] = key.filled
            filled.append(Filled(key.name, key.value, key.setting))
    return complete, tuple(filled)


def check_config(config: dict[str, Any], settings: TrainSettings, where: str) -> None:
    """Raises SettingsError when the file sets another value than the settings."""
    _check_blocks(config, where)
    wrong = [fault for key in _keys(config, settings) for fault in _faults(key, _found(config, key.path))]
    wrong += [
        f"{name} is on, but {instead} configures the precision"
        for name, instead in REMOVED.items()
        if name in config and (name == "bfloat16" or config[name].get("enabled", False) not in (False, AUTO))
    ]
    if wrong:
        raise SettingsError(
            f"{where} and the train settings differ: {'; '.join(wrong)}",
            rule="values in ds_config.json must agree with the train settings",
            remedy="set them to 'auto' or leave them out, or change the settings to the same value",
        )


def adam_arguments(config: dict[str, Any]) -> dict[str, float]:
    """betas and eps that the file sets, as trainer arguments: there are no such settings, so the file decides."""
    params = config.get("optimizer", {}).get("params", {})
    betas, eps = params.get("betas", AUTO), params.get("eps", AUTO)
    found = {} if betas == AUTO else {"adam_beta1": betas[0], "adam_beta2": betas[1]}
    return found if eps == AUTO else found | {"adam_epsilon": eps}


def _check_blocks(config: dict[str, Any], where: str) -> None:
    blocks: list[tuple[str, Any]] = [(name, config[name]) for name in (*REMOVED, "bf16") if name in config]
    for name in ("optimizer", "scheduler"):
        if name not in config:
            continue
        block = config[name]
        blocks.append((name, block))
        if isinstance(block, dict):
            blocks.append((f"{name}.params", block.get("params", {})))
            if not isinstance(block.get("type"), str):
                raise SettingsError(
                    f"{where}: {name} has no type",
                    rule=f"a {name} block needs a type",
                    remedy=f"add {name}.type, or remove the block",
                )
    for name, block in blocks:
        if not isinstance(block, dict):
            raise SettingsError(
                f"{where}: {name} is {block!r}", rule="it must be a JSON object", remedy=f"correct {name}, or remove it"
            )


def _keys(config: dict[str, Any], settings: TrainSettings) -> Iterator[Key]:
    by_speed = settings.shares == "speed"
    yield Key(
        ("train_batch_size",), "shares" if by_speed else "global_batch", None if by_speed else settings.global_batch
    )
    yield from _micro_batch_keys(settings)
    yield Key(("gradient_clipping",), "max_grad_norm", settings.max_grad_norm)
    yield Key(("bf16", "enabled"), "precision", settings.precision == "bf16")
    if "optimizer" in config:
        yield Key(("optimizer", "params", "lr"), "learning_rate", settings.learning_rate)
        yield Key(("optimizer", "params", "weight_decay"), "weight_decay", settings.weight_decay)
    elif _offloads_optimizer(config):
        # DeepSpeed then refuses any optimizer but its own, unless this is off.
        yield Key(("zero_force_ds_cpu_optimizer",), "torch's AdamW, without an optimizer block", False, filled=False)
    if "scheduler" in config:
        yield from _schedule_keys(config["scheduler"].get("type"), settings)


def _micro_batch_keys(settings: TrainSettings) -> Iterator[Key]:
    names = ("train_micro_batch_size_per_gpu",), ("gradient_accumulation_steps",)
    if settings.micro_batch_tokens is not None or settings.shares == "speed":
        setting = "shares" if settings.micro_batch_tokens is None else "micro_batch_tokens"
        yield from (Key(name, setting, None) for name in names)
        return
    split = split_batch(settings, settings.ranks)
    yield Key(names[0], settings.forward_rule, split.micro_batch)
    yield Key(names[1], "global_batch / ranks / micro-batch", split.accumulation)


def _offloads_optimizer(config: dict[str, Any]) -> bool:
    block = config["zero_optimization"].get("offload_optimizer")
    return isinstance(block, dict) and block.get("device", "none") != "none"


def _schedule_keys(kind: str, settings: TrainSettings) -> Iterator[Key]:
    names = {meaning: name for name, meaning in SCHEDULERS.items()}
    yield Key(("scheduler", "type"), f"scheduler {settings.scheduler}", names[settings.scheduler])
    params = ("scheduler", "params")
    if kind == "WarmupCosineLR":
        yield Key((*params, "warmup_min_ratio"), "warm-up from 0", 0.0, filled=0.0)
    else:
        yield Key((*params, "warmup_min_lr"), "warm-up from 0", 0.0)
        yield Key((*params, "warmup_max_lr"), "learning_rate", settings.learning_rate)
    yield Key((*params, "warmup_type"), "linear warm-up", "linear", filled="linear")
    yield Key((*params, "warmup_num_steps"), "warmup_share", None)
    if kind != "WarmupLR":
        yield Key((*params, "total_num_steps"), "epochs", None)


def _found(config: dict[str, Any], path: tuple[str, ...]) -> Any:
    """The value at a path; "auto" where it is missing."""
    found: Any = config
    for part in path:
        if not isinstance(found, dict) or part not in found:
            return AUTO
        found = found[part]
    return found


def _faults(key: Key, found: Any) -> Iterator[str]:
    if found == AUTO or (found == key.value and isinstance(found, bool) == isinstance(key.value, bool)):
        return
    if key.value is None:
        yield f"{key.name} is {found!r}, but {key.setting} and the rows that fit determine it: use 'auto'"
    else:
        yield f"{key.name} is {found!r}, but {key.setting} makes it {key.value!r}"
