"""The processes that train together, and what each must set before torch and its friends are imported."""

import os
import sys
import warnings
from dataclasses import dataclass
from datetime import timedelta

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


@dataclass(frozen=True)
class Ranks:
    """Where this process stands, as torchrun tells it."""

    rank: int
    world: int
    local_rank: int
    local_world: int

    @classmethod
    def from_environment(cls) -> "Ranks":
        """Read torchrun's variables; a process without them is alone."""
        read = [int(os.environ.get(name, default)) for name, default in _VARIABLES.items()]
        return cls(*read)

    @property
    def node(self) -> int:
        """This machine's number."""
        return self.rank // self.local_world

    @property
    def nodes(self) -> int:
        """Machines."""
        return self.world // self.local_world

    @property
    def is_main(self) -> bool:
        """Whether this is the first process of all."""
        return self.rank == 0

    @property
    def is_local_main(self) -> bool:
        """Whether this is the first process of its machine."""
        return self.local_rank == 0


_VARIABLES = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}


def prepare_environment() -> None:
    """Quiet the libraries and let accelerate know of DeepSpeed; call it before they are imported."""
    warnings.simplefilter("ignore")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    import torch

    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
        # DeepSpeed decorates optimizers that are not used here with torch.compile, which loads the compiler: 3 s.
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")


def join_ranks() -> bool:
    """Join the process group, NCCL on GPUs and gloo without; returns whether the training runs on the CPU."""
    import deepspeed.ops
    import torch
    from accelerate import PartialState

    # A process that was started without torchrun is a group of one.
    for name, value in {**_VARIABLES, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29531"}.items():
        os.environ.setdefault(name, value)
    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        # DeepSpeed's shared-memory extension serves inference alone. Unless told, DeepSpeed runs a compiler to find out
        # what it could compile, and compiles that.
        deepspeed.ops.__compatible_ops__ = {"deepspeed_shm_comm": False}
    # One process may download a model for an hour while the others wait.
    PartialState(backend="gloo" if on_cpu else "nccl", timeout=timedelta(hours=2))
    return on_cpu


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
