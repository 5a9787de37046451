"""Makes a training's trainer: on packed rows, or TRL's on padded ones where the model cannot read packed rows."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.shared.errors import ModelError, SettingsError
from components.shared.log import say
from components.train.batches.budgeted_order import MicroBatchOrder
from components.train.engine.forward_passes import token_budget
from components.train.engine.load_model import adapter_config
from components.train.engine.record_steps import recorded
from components.train.engine.reference_output import ReferenceOutput
from components.train.engine.trainer_arguments import arguments_of
from components.train.methods.method import TrainingData, TrainingMethod
from components.train.ranks import Ranks
from components.train.settings import PADDED_RULE, TrainSettings


@dataclass(frozen=True)
class TrainerParts:
    """What a trainer is made of.

    Attributes:
        method: the training method.
        settings: its settings.
        task: the step's name in the log.
        common: the arguments that all trainers share.
        data: the rows, whose columns a data set holds now.
        dataset: that data set.
        reference: where a method with a reference finds its log-probs.
        tokenizer: the start's.
        micro_batches: the rows of each on packed rows, where they have any number.
        load: loads the start; the trainer's arguments exist by then, so that under ZeRO-3 it is loaded in shards.
    """

    method: TrainingMethod[Any]
    settings: TrainSettings
    task: str
    common: dict[str, Any]
    data: TrainingData
    dataset: Any
    reference: ReferenceOutput
    tokenizer: Any
    load: Callable[[], Any]
    micro_batches: MicroBatchOrder | None = None


def import_trainer() -> None:
    """Import what the trainers need. Nothing of it touches a GPU.

    `trl.models` alone imports nothing: its names load what they need once they are used, in every process.
    """
    for name in ("components.train.engine.packed_trainer", "trl.models.utils"):
        importlib.import_module(name)


def make_trainer(parts: TrainerParts) -> Any:
    """The trainer, ready but for its record of steps.

    Every process decides alike: the objective, the model's configuration and the check on a few tokens are the same.
    """
    objective = parts.method.objective(parts.settings, parts.data)
    trainer = None if objective is None else _packed(parts, objective)
    return _padded(parts) if trainer is None else trainer


def _packed(parts: TrainerParts, objective: Any) -> Any:
    """The packed trainer with the reference's log-probs; None, with a line in the log, for a model that cannot pack."""
    from transformers import TrainingArguments

    from components.train.engine.choose_attention import choose_attention
    from components.train.engine.packed_trainer import PackedTrainer

    common = parts.common if parts.micro_batches is None else parts.common | arguments_of(parts.micro_batches)
    arguments = TrainingArguments(**common, remove_unused_columns=False)
    model = parts.load()
    trainer = recorded(PackedTrainer, parts.task, parts.reference)(
        model=with_adapters(model, parts.settings, arguments),
        args=arguments,
        train_dataset=parts.dataset,
        processing_class=parts.tokenizer,
        objective=objective,
        micro_batches=parts.micro_batches,
    )
    try:
        require_no_router_loss(model)
        trainer.begin_packing()
    except ModelError as refusal:
        if Ranks.from_environment().is_main:
            say(parts.task, f"training on padded rows: {refusal.problem}")
        _release_accelerator()
        return None
    choose_attention(trainer, parts.data.order, parts.task)
    trainer.add_reference(token_budget(parts.settings))
    return trainer


def _release_accelerator() -> None:
    """Let another trainer configure DeepSpeed; the process group stays. transformers' own retries do the same."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()


def _padded(parts: TrainerParts) -> Any:
    if parts.settings.shares == "speed":
        raise SettingsError(
            "shares is 'speed', and this model or method trains on padded rows",
            rule=PADDED_RULE,
            allowed=["even"],
            remedy="set shares to even",
        )
    if parts.micro_batches is not None and Ranks.from_environment().is_main:
        say(parts.task, "micro_batch_tokens is ignored: micro_batch alone limits padded batches")
    # The arguments come before the model: under ZeRO-3 they make it load in shards.
    arguments = parts.method.arguments(parts.common, parts.settings, parts.data)
    model = parts.load()
    return recorded(parts.method.trainer_type(parts.settings), parts.task, parts.reference)(
        model=model,
        args=arguments,
        train_dataset=parts.method.padded_rows(parts.dataset),
        processing_class=parts.tokenizer,
        peft_config=adapter_config(parts.settings.lora, model),
    )


def require_no_router_loss(model: Any) -> None:
    """Raises ModelError for a mixture of experts whose configuration adds a loss that balances its router."""
    config = model.config.get_text_config()
    if hasattr(config, "output_router_logits") and getattr(config, "router_aux_loss_coef", None):
        raise ModelError(
            f"{type(model).__name__} has a router whose balance is part of the loss",
            rule="packed rows are trained on without a router's loss",
            remedy="train this model with padded batches",
        )


def with_adapters(model: Any, settings: TrainSettings, arguments: Any) -> Any:
    """The model with new adapters where the settings ask for them, else the model, as TRL's trainers prepare them.

    Args:
        model: the start.
        settings: of the training.
        arguments: the trainer's; ZeRO-3 with adapters needs checkpointing that is reentrant, which is set here.
    """
    if (config := adapter_config(settings.lora, model)) is None:
        return model
    from peft import get_peft_model
    from transformers import set_seed

    set_seed(settings.seed)
    shards_weights = arguments.deepspeed_plugin is not None and arguments.deepspeed_plugin.zero_stage == 3
    # ZeRO-3 gathers parameters of one type alone, so adapters keep the model's.
    adapted = get_peft_model(model, config, autocast_adapter_dtype=not shards_weights)
    if arguments.activation_checkpointing:
        if shards_weights:
            arguments.activation_checkpointing_kwargs = {"use_reentrant": True}
        adapted.enable_input_require_grads()
    return adapted
