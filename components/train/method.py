"""The one face of all training methods: a method is one file that makes a `Method` and has a `main()`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from components.train.build_dataset import Example
from components.train.fill_config import adam_arguments
from components.train.settings import TrainSettings
from components.train.split import Split


@dataclass(frozen=True)
class Prepared:
    """Data as the trainer takes it.

    Attributes:
        columns: the data set's columns, by name.
        order: rows of that data set in the order in which they are learnt; a multiple of the global batch.
        lengths: tokens of each row of the data set, for the record.
        counts: what the manifest says about the data.
        extra: what the method itself needs to remember.
        notes: what a person should know of how the rows were put together, for the log.
    """

    columns: dict[str, list[Any]]
    order: np.ndarray
    lengths: np.ndarray
    counts: dict[str, float] = field(default_factory=dict)
    extra: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Method(Protocol):
    """How a model is trained on which rows."""

    part: str
    """Part of the select step's output that holds the rows."""

    row_type: type[Any]
    """Type of those rows."""

    def prepare(self, examples: Sequence[Example], settings: TrainSettings, split: Split) -> Prepared:
        """Columns and order of the data. Raises InputError when the rows do not fit the method."""
        ...

    def arguments(self, common: dict[str, Any], settings: TrainSettings, prepared: Prepared) -> Any:
        """The trainer's arguments object, from those that all methods share."""
        ...

    def trainer_type(self) -> type[Any]:
        """The trainer's class (imports trl)."""
        ...


def trainer_arguments(settings: TrainSettings, split: Split, steps: int, folder: Path, config: dict[str, Any]) -> Any:
    """Arguments that all trainers share.

    The loader hands out every row of every epoch in one pass of `steps` optimizer steps, in our own order.
    """
    return {
        "output_dir": str(folder),
        "deepspeed": config,
        **adam_arguments(config),
        "accelerator_config": {"use_configured_state": True},
        "per_device_train_batch_size": split.micro_batch,
        "gradient_accumulation_steps": split.accumulation,
        "num_train_epochs": 1,
        "max_steps": steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant_with_warmup" if settings.scheduler == "constant" else settings.scheduler,
        "warmup_steps": round(settings.warmup_share * steps),
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "seed": settings.seed,
        "bf16": settings.precision == "bf16",
        "gradient_checkpointing": settings.gradient_checkpointing,
        "logging_steps": 1,
        # A loss that is no number must be seen, not replaced by the mean of the others.
        "logging_nan_inf_filter": False,
        "save_strategy": "steps" if settings.checkpoint_steps else "no",
        "save_steps": settings.checkpoint_steps or 1,
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": config_uses_gpu(),
    }


def config_uses_gpu() -> bool:
    """Whether this process trains on a GPU."""
    import torch

    return bool(torch.cuda.is_available())
