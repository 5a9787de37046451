"""Decides what the settings leave to the job, the ZeRO stage and gradient checkpointing, by an estimate of memory."""

import os
import re
from pathlib import Path
from typing import Any, Literal

from components.models.stored.check_stored import EMBEDDINGS, HEADS, OTHER_TOWERS
from components.models.stored.stored_model import StoredModel, StoredTensor
from components.models.stored.stored_tokenizer import embedding_rows
from components.shared.log import say
from components.shared.text.counted import counted
from components.train.batches.split import Split
from components.train.checkpoints.checkpoint import Fetched
from components.train.engine.deepspeed_config import zero_stage
from components.train.memory import DecoderShape, Need, Plan, make_plan, shape_of
from components.train.settings import ALL_LINEAR, TrainSettings

GIB = 2**30
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
TABLES = re.compile(f"{EMBEDDINGS.pattern}|{HEADS.pattern}")
"""Matrices that `all-linear` leaves out."""
UNKNOWN_STAGE = 2
"""Where nothing can be estimated: what DeepSpeed's users choose, with gradient checkpointing."""


def fit_memory(
    settings: TrainSettings, model: StoredModel, split: Split, longest: int, *, found: Fetched | None, task: str
) -> TrainSettings:
    """The settings with a ZeRO stage and gradient checkpointing; the log says why. Every process must call it.

    Args:
        settings: of the training.
        model: the start's files.
        split: how the rows of a step are split.
        longest: tokens of the longest row of the data, of both responses where a row is a pair.
        found: the checkpoint that training continues from: whether weights are sharded stays as it was.
        task: the step's name in logs.
    """
    is_main, free = _free_of_all()
    stage = _stage(settings, found)
    shape = read_shape(model, settings)
    if shape is None:
        return _without_estimate(settings, stage, task if is_main else "")
    need = Need(shape, settings.precision, split.ranks, split.micro_batch * longest, _offload(settings))
    plan = make_plan(need, free, stage, settings.gradient_checkpointing)
    if stage == "auto" and found is not None and plan.stage == 3:
        plan = make_plan(need, free, UNKNOWN_STAGE, settings.gradient_checkpointing)
    if is_main:
        rows = f"{counted(split.micro_batch, 'row')} of at most {longest:,} tokens"
        say(task, described(need, plan, free, rows))
    return _with(settings, plan.stage, plan.recomputed)


def described(need: Need, plan: Plan, free: int, rows: str) -> str:
    """A plan and its numbers, for the log."""
    layers = "recomputed (gradient checkpointing)" if plan.recomputed else "kept"
    state, activations = plan.estimate.state / GIB, plan.estimate.activations / GIB
    text = (
        f"ZeRO stage {plan.stage}, activations {layers}: by estimate each of "
        f"{counted(need.ranks, 'process', 'processes')} needs {state:,.2f} GiB for {need.shape.parameters:,} "
        f"parameters ({need.shape.trained:,} trained, {need.precision}) and {activations:,.2f} GiB for {rows}, "
        f"of {free / GIB:,.2f} GiB free"
    )
    advice = "; this may not fit: if memory runs out, lower micro_batch or max_length, or use more GPUs"
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
    return shape_of(model.text_config, parameters, trained, rows)


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


def _stage(settings: TrainSettings, found: Fetched | None) -> int | Literal["auto"]:
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
    return _with(settings, stage, recomputed)


def _with(settings: TrainSettings, stage: int, recomputed: bool) -> TrainSettings:
    zero = settings.deepspeed.model_copy(update={"stage": stage})
    return settings.model_copy(update={"deepspeed": zero, "gradient_checkpointing": recomputed})


def _free_of_all() -> tuple[bool, int]:
    """Whether this is the first process, and the least free memory of any process: all must choose the same."""
    import torch.distributed

    free: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(free, free_bytes())
    return torch.distributed.get_rank() == 0, min(free)


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
