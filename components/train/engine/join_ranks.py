"""Joins a process to its group, and sets what must be set before torch and DeepSpeed are imported."""

import os
import platform
import sys
import warnings
from datetime import timedelta

from components.shared.patch_libraries import skip_op_probe
from components.train.ranks import VARIABLES

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DS_LOG_LEVEL": "error",
}


def prepare_environment() -> None:
    """Silence the libraries and make accelerate use DeepSpeed; call it before they are imported."""
    warnings.simplefilter("ignore")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    import torch

    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
        # DeepSpeed decorates optimizers that are not used here with torch.compile, which imports the compiler: 3 s.
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")


def join_ranks() -> bool:
    """Join the process group, NCCL on GPUs and gloo without; returns whether the training runs on the CPU."""
    import torch
    from accelerate import PartialState

    # A process without torchrun is a group of one.
    for name, value in {**VARIABLES, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29531"}.items():
        os.environ.setdefault(name, value)
    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        skip_op_probe()
    # One process may download a model for an hour while the others wait.
    PartialState(backend="gloo" if on_cpu else "nccl", timeout=timedelta(hours=2))
    return on_cpu


def cpu_has_bf16() -> bool:
    """Whether this CPU has instructions for bf16; without them torch emulates it, many times slower than fp32."""
    import torch

    # torch has no public name for either; the first is for x86, and the second is too generous there.
    if platform.machine() == "x86_64":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def barrier() -> None:
    """Wait for all processes."""
    import torch.distributed

    torch.distributed.barrier()


def leave_ranks() -> None:
    """Leave the process group."""
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    sys.stderr.flush()
