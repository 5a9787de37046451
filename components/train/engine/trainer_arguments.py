"""The arguments that the trainers of all methods share, in the names of transformers' TrainingArguments."""

from pathlib import Path
from typing import Any

from components.train.batches.budgeted_order import MicroBatchOrder
from components.train.batches.split import Split
from components.train.engine.fill_config import adam_arguments
from components.train.settings import TrainSettings


def trainer_arguments(
    settings: TrainSettings, split: Split, steps: int, folder: Path, config: dict[str, Any]
) -> dict[str, Any]:
    """Arguments by name.

    The loader returns every row of every epoch in one pass of `steps` optimizer steps, in the method's order.
    """
    import torch

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
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": settings.gradient_checkpointing,
        "logging_steps": 1,
        # A loss that is not finite must show, not be replaced by the mean of the others.
        "logging_nan_inf_filter": False,
        "save_strategy": "steps" if settings.checkpoint_steps else "no",
        "save_steps": settings.checkpoint_steps or 1,
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def arguments_of(micro_batches: MicroBatchOrder) -> dict[str, Any]:
    """The arguments that differ where micro-batches have any number of rows: a place for each that a rank may make.

    DeepSpeed's batch size is then the product of ranks and places. Nothing is divided by it.
    """
    return {"per_device_train_batch_size": 1, "gradient_accumulation_steps": micro_batches.places}
