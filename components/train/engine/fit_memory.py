"""Decides what the settings leave to the job by an estimate of memory: ZeRO stage, checkpointing, token budget."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from components.models.stored.check_stored import EMBEDDINGS, HEADS, OTHER_TOWERS
from components.models.stored.stored_model import StoredModel, StoredTensor
from components.models.stored.stored_tokenizer import embedding_rows
from components.shared.errors import SettingsError
from components.shared.log import say
from components.shared.text.counted import counted
from components.train.checkpoints.checkpoint import Fetched
from components.train.engine.deepspeed_config import zero_stage
from components.train.memory import DecoderShape, Need, PassSize, Plan, fit_tokens, make_plan, shape_of
from components.train.methods.registry import method_of
from components.train.settings import ALL_LINEAR, SHARES_RULE, TrainSettings

GIB = 2**30
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
TABLES = re.compile(f"{EMBEDDINGS.pattern}|{HEADS.pattern}")
"""Matrices that `all-linear` leaves out."""
UNKNOWN_STAGE = 2
"""Where nothing can be estimated: what DeepSpeed's users choose, with gradient checkpointing."""


def fit_memory(
    settings: TrainSettings, model: StoredModel, ranks: int, size: PassSize, *, found: Fetched | None, task: str
) -> TrainSettings:
    """The settings without `auto`: ZeRO stage, gradient checkpointing and token budget; the log says why.

    Every process must call it.

    Args:
        settings: of the training.
        model: the start's files.
        ranks: processes that train together.
        size: of their forward passes.
        found: the checkpoint that training continues from: whether weights are sharded stays as it was.
        task: the step's name in logs.
    """
    rank, all_free = _free_of_all()
    is_main, free = rank == 0, min(all_free)
    stage = set_stage(settings, found)
    _check_shares(settings, stage, found)
    shape = read_shape(model, settings)
    if shape is None:
        return _without_estimate(settings, stage, task if is_main else "")
    import torch

    need = _with_prompts(need_of(shape, settings, ranks, on_cpu=not torch.cuda.is_available()), size)
    plan, budget = choose_plan(need, size, free, settings, stage, continues=found is not None)
    if is_main:
        say(task, described(need, plan, free, _described_pass(size, budget, settings.micro_batch_tokens == "auto")))
    if settings.shares == "speed" and settings.micro_batch_tokens == "auto":
        _, budget = fit_tokens(need, size, all_free[rank], plan.stage, plan.recomputed)
    return _with(settings, plan.stage, plan.recomputed, budget)


def need_of(shape: DecoderShape, settings: TrainSettings, ranks: int, *, on_cpu: bool) -> Need:
    """What the settings ask for, without the positions of a forward pass."""
    return Need(
        shape,
        settings.precision,
        ranks,
        tokens=0,
        offload=_offload(settings),
        saved="fp32" if settings.saved_weights == "fp32" else settings.precision,
        checkpoints=settings.checkpoint_steps > 0,
        on_cpu=on_cpu,
        drawn=method_of(settings).generation(settings, ranks),
    )


def _with_prompts(need: Need, size: PassSize) -> Need:
    """What a training needs whose rows are known: the prompts that it draws from are no longer than theirs."""
    if need.drawn is None:
        return need
    return replace(need, drawn=replace(need.drawn, prompt=max(size.longest - need.drawn.response, 1)))


def choose_plan(
    need: Need,
    size: PassSize,
    free: int,
    settings: TrainSettings,
    stage: int | Literal["auto"],
    *,
    continues: bool = False,
) -> tuple[Plan, int | None]:
    """The plan that a job chooses, and its budget of positions where there is one.

    Args:
        need: of the training, of which `tokens` is not read.
        size: of its forward passes.
        free: bytes of the smallest device.
        settings: of the training.
        stage: as set.
        continues: whether it continues from a checkpoint whose weights are not sharded.
    """
    plan, budget = _plan(need, size, free, stage, settings)
    if stage == "auto" and plan.stage == 3 and (continues or settings.shares == "speed"):
        return _plan(need, size, free, UNKNOWN_STAGE, settings)
    return plan, budget


def _plan(
    need: Need, size: PassSize, free: int, stage: int | Literal["auto"], settings: TrainSettings
) -> tuple[Plan, int | None]:
    """The plan, and the budget of positions where there is one."""
    budget, recomputed = settings.micro_batch_tokens, settings.gradient_checkpointing
    if budget == "auto":
        return fit_tokens(need, size, free, stage, recomputed)
    return make_plan(replace(need, tokens=size.positions(budget)), free, stage, recomputed), budget


def _described_pass(size: PassSize, budget: int | None, chosen: bool) -> str:
    """What a forward pass holds, for the log."""
    if budget is None:
        return f"{counted(size.rows, 'row')} of at most {size.longest:,} tokens"
    by_estimate = f" (micro_batch_tokens {budget:,}, chosen by this estimate)" if chosen else ""
    return f"{size.positions(budget):,} positions of at most {counted(size.rows, 'row')}{by_estimate}"


def described(need: Need, plan: Plan, free: int, rows: str) -> str:
    """A plan and its numbers, for the log."""
    layers = "recomputed (gradient checkpointing)" if plan.recomputed else "kept"
    state, activations = plan.estimate.state / GIB, plan.estimate.activations / GIB
    copies = plan.estimate.copies
    drawing = f" (drawing rollouts {plan.estimate.generation / GIB:,.2f} GiB)" if plan.estimate.generation else ""
    text = (
        f"ZeRO stage {plan.stage}, activations {layers}: by estimate each of "
        f"{counted(need.ranks, 'process', 'processes')} needs {state:,.2f} GiB for {need.shape.parameters:,} "
        f"parameters ({need.shape.trained:,} trained, {need.precision}) and {activations:,.2f} GiB for {rows}"
        f"{drawing}, of {free / GIB:,.2f} GiB free; {'of the same' if need.on_cpu else 'of host'} memory "
        f"{copies.checkpoint / GIB:,.2f} GiB for the copy of a checkpoint and, in one process, "
        f"{copies.saving / GIB:,.2f} GiB while the model is saved"
    )
    advice = (
        "; this may not fit: if memory runs out, lower micro_batch, micro_batch_tokens or max_length, or use more GPUs"
    )
    return text if plan.fits else text + advice


def read_shape(model: StoredModel, settings: TrainSettings) -> DecoderShape | None:
    """A stored model's shape; None where its headers or its config.json do not show it."""
    language = {name: tensor for name, tensor in model.tensors.items() if not OTHER_TOWERS.search(name)}
    trained = sum(tensor.elements for tensor in language.values())
    rows = embedding_rows(model)
    if not trained or rows is None:
        return None
    if settings.lora is not None:
        trained = _adapter_parameters(language, settings.lora.rank, settings.lora.target_modules)
    parameters = sum(tensor.elements for tensor in model.tensors.values())
    return shape_of(model.text_config, parameters, trained, rows, tied=not any(map(HEADS.search, language)))


def _adapter_parameters(tensors: dict[str, StoredTensor], rank: int, targets: tuple[str, ...]) -> int:
    """Weights of A and B of each matrix that gets them."""
    matrices = {
        name.removesuffix(".weight"): tensor.shape for name, tensor in tensors.items() if len(tensor.shape) == 2
    }
    if targets == (ALL_LINEAR,):
        chosen = [shape for name, shape in matrices.items() if not TABLES.search(f"{name}.weight")]
    else:
        chosen = [shape for name, shape in matrices.items() if name.rpartition(".")[2] in targets]
    return rank * sum(map(sum, chosen))


def set_stage(settings: TrainSettings, found: Fetched | None = None) -> int | Literal["auto"]:
    """ZeRO's stage, where the settings or the checkpoint that training continues from decide it."""
    if settings.deepspeed_config is not None:
        return zero_stage(settings)
    if settings.deepspeed.stage == "auto" and found is not None and found.shards_weights:
        return 3
    return settings.deepspeed.stage


def _offload(settings: TrainSettings) -> str:
    if not isinstance(settings.deepspeed_config, dict):
        return settings.deepspeed.offload
    block = settings.deepspeed_config["zero_optimization"]
    devices = [str((block.get(f"offload_{what}") or {}).get("device", "none")) for what in ("optimizer", "param")]
    if devices[1] != "none":
        return "optimizer+parameters"
    return "optimizer" if devices[0] != "none" else "none"


def _without_estimate(settings: TrainSettings, stage: int | Literal["auto"], task: str) -> TrainSettings:
    stage = stage if isinstance(stage, int) else UNKNOWN_STAGE
    recomputed = settings.gradient_checkpointing if isinstance(settings.gradient_checkpointing, bool) else True
    if task:
        layers = "recomputed (gradient checkpointing)" if recomputed else "kept"
        say(
            task, f"ZeRO stage {stage}, activations {layers}: not estimated, as the start's files do not show its shape"
        )
    budget = None if settings.micro_batch_tokens == "auto" else settings.micro_batch_tokens
    if task and budget != settings.micro_batch_tokens:
        say(task, "micro_batch_tokens auto: no budget without an estimate, micro_batch alone limits a forward pass")
    return _with(settings, stage, recomputed, budget)


def _with(settings: TrainSettings, stage: int, recomputed: bool, budget: int | None) -> TrainSettings:
    zero = settings.deepspeed.model_copy(update={"stage": stage})
    decided = {"deepspeed": zero, "gradient_checkpointing": recomputed, "micro_batch_tokens": budget}
    return settings.model_copy(update=decided)


def _check_shares(settings: TrainSettings, stage: int | Literal["auto"], found: Fetched | None) -> None:
    if settings.shares == "speed" and stage == 3:
        where = f"the checkpoint of step {found.step} was" if found is not None else "weights are"
        raise SettingsError(
            f"shares is 'speed', and {where} sharded (ZeRO stage 3)",
            rule=SHARES_RULE,
            allowed=["even"],
            remedy="set shares to even, or delete the checkpoints to start again",
        )


def _free_of_all() -> tuple[int, list[int]]:
    """The number of this process, and the free memory of each: all must choose the same stage."""
    import torch.distributed

    free: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(free, free_bytes())
    return torch.distributed.get_rank(), free


def free_bytes() -> int:
    """Free memory of this process's GPU; without one, its part of the memory of this machine or container."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return host_bytes() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def host_bytes(meminfo: Path = Path("/proc/meminfo"), limits: tuple[Path, ...] = CGROUP_LIMITS) -> int:
    """Available memory of this machine, or the container's limit where that is less."""
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    available = int(lines["MemAvailable"].split()[0]) * 1024
    found = [int(text) for path in limits if path.is_file() and (text := path.read_text().strip()).isdigit()]
    return min([available, *found])
