"""Makes the trainer of a training in pipeline stages."""

# ruff: noqa: TID253 - imported by the job's own program only

from pathlib import Path
from typing import Any

import torch
import torch.distributed
from transformers import set_seed

from components.shared.log import say
from components.train.checkpoints.checkpoint import Fetched
from components.train.engine.reference_output import ReferenceOutput
from components.train.objectives.objective import Objective
from components.train.ranks import Ranks
from components.train.settings import TrainSettings
from components.train.stages.calibrate import Calibration
from components.train.stages.check_stage import check_stage
from components.train.stages.choose_layers import choose_layers
from components.train.stages.load_stage import load_outline, load_stages
from components.train.stages.measure_layers import Sample
from components.train.stages.optimizer import Gradients, Masters, make_optimizer
from components.train.stages.pack_steps import PackedSteps
from components.train.stages.parts import find_parts
from components.train.stages.pipeline import Shapes, StagePipeline
from components.train.stages.score_reference import score_reference
from components.train.stages.settings import StageSettings
from components.train.stages.stage_model import StageModel
from components.train.stages.stage_trainer import StageTrainer


def make_stage_trainer(
    settings: TrainSettings,
    stages: StageSettings,
    objective: Objective[Any],
    rows: Any,
    steps: PackedSteps,
    *,
    start: Path,
    name: str,
    reference: ReferenceOutput,
    folder: Path,
    task: str,
    earlier: Fetched | None = None,
) -> StageTrainer:
    """The trainer, ready but for its record of steps. Every process calls it.

    Args:
        settings: of the training.
        stages: its block of stages.
        objective: the loss.
        rows: the data set.
        steps: its rows, dealt to micro-batches.
        start: the folder of the model that training starts from.
        name: how a person names it.
        reference: where a method with a reference finds its log-probs.
        folder: for files of checkpoints.
        task: the step's name in the log.
        earlier: the checkpoint that training continues from.

    Raises:
        ModelError: the model cannot be split, or does not run on packed rows.
        SettingsError: the stages do not fit its layers.
    """
    ranks = Ranks.from_environment()
    device = torch.device("cuda", ranks.local_rank) if torch.cuda.is_available() else torch.device("cpu")
    outline = load_outline(start, name, settings)
    base = getattr(outline, "get_base_model", lambda: outline)()
    parts = find_parts(base)
    calibration = Calibration(
        start=start,
        name=name,
        settings=settings,
        count=parts.count,
        width=base.config.get_text_config().hidden_size,
        dtype=next(base.parameters()).dtype,
        sample=Sample(objective, rows, steps, device),
        task=task,
        earlier=earlier,
    )
    spans = choose_layers(
        settings,
        stages,
        start=start,
        name=name,
        count=parts.count,
        length=steps.length,
        task=task,
        calibration=calibration,
    )
    made = _own_stages(start, name, settings, spans, ranks, objective, device)
    named = (entry for stage in made.values() for entry in stage.model.named_parameters())
    masters = Masters({name: weight for name, weight in named if weight.requires_grad})
    width, dtype = base.config.get_text_config().hidden_size, next(next(iter(made.values())).parameters()).dtype
    shapes = Shapes(steps.length, width, dtype)
    pipeline = StagePipeline(
        made,
        number=len(spans),
        schedule=stages.schedule,
        micro_batches=steps.micro_batches,
        shapes=shapes,
        objective=objective,
        device=device,
    )
    set_seed(settings.seed)
    if ranks.is_main:
        say(task, described(stages, spans, ranks.world, steps))
    if objective.reference_columns:
        rows = _with_reference(reference, pipeline, objective, rows, steps, device, task if ranks.is_main else "")
    tied = _name_of(outline, base.get_input_embeddings().weight) if parts.tied else None
    trainer = StageTrainer(
        settings=settings,
        ranks=ranks,
        folder=folder,
        objective=objective,
        rows=rows,
        steps=steps,
        pipeline=pipeline,
        masters=masters,
        optimizer=make_optimizer(settings, [stage.model for stage in made.values()], masters.tensors),
        gradients=Gradients(masters.tensors, tied, (len(spans) - 1) % ranks.world),
        outline=outline,
        device=device,
    )
    trainer.plan = calibration.record
    return trainer


def described(stages: StageSettings, spans: list[tuple[int, int]], ranks: int, steps: PackedSteps) -> str:
    """The stages, for the log."""
    layers = ", ".join(str(end - first) for first, end in spans)
    return (
        f"{len(spans)} stages of {layers} layers on {ranks} processes, schedule {stages.schedule}: "
        f"{steps.micro_batches} micro-batches of {steps.length:,} positions in each step"
    )


def _own_stages(  # noqa: PLR0917 - what `make_stage_trainer` has found
    start: Path,
    name: str,
    settings: TrainSettings,
    spans: list[tuple[int, int]],
    ranks: Ranks,
    objective: Objective[Any],
    device: torch.device,
) -> dict[int, StageModel]:
    """This process's stages by number, checked."""
    own = range(ranks.rank, len(spans), ranks.world)
    made = {}
    loaded = load_stages(start, name, settings, [spans[number] for number in own])
    for number, (model, parts) in zip(own, loaded, strict=True):
        made[number] = StageModel(_prepared(model, settings, objective).to(device), is_first=number == 0)
        check_stage(made[number], parts, is_last=number == len(spans) - 1)
    return made


def _with_reference(  # noqa: PLR0917 - what `make_stage_trainer` has made
    reference: ReferenceOutput,
    pipeline: StagePipeline,
    objective: Objective[Any],
    rows: Any,
    steps: PackedSteps,
    device: torch.device,
    task: str,
) -> Any:
    """The data set with the reference's log-probs as columns."""
    names = objective.reference_columns
    columns = reference.columns(
        rows, names, lambda: score_reference(pipeline, objective, rows, steps, device=device, task=task)
    )
    found = rows
    for column in names:
        found = found.add_column(column, columns[column])
    return found


def _prepared(model: Any, settings: TrainSettings, objective: Objective[Any]) -> Any:
    """The model ready to train, with recomputed layers and dropout where they belong."""
    model.train()
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    if not objective.uses_dropout:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    return model


def _name_of(model: Any, tensor: torch.Tensor) -> str:
    return next(name for name, weight in model.named_parameters() if weight is tensor)
