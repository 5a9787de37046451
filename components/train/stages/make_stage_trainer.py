"""Makes the trainer of a training in pipeline stages."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from transformers import set_seed

from components.models.forward.choose_kernel import KernelChoice, choose_kernel
from components.shared.log import say
from components.train.checkpoints.checkpoint import Fetched
from components.train.engine.choose_attention import calls_in_training, kernel_of_all
from components.train.engine.reference_output import ReferenceOutput
from components.train.objectives.objective import Objective
from components.train.ranks import Ranks
from components.train.settings import TrainSettings
from components.train.stages.calibrate import Calibration
from components.train.stages.check_stage import check_stage
from components.train.stages.choose_layers import choose_layers
from components.train.stages.job_pipelines import JobPipeline
from components.train.stages.load_stage import load_outline, load_stages
from components.train.stages.measure_layers import SampledRun
from components.train.stages.optimizer import Gradients, Masters, make_optimizer
from components.train.stages.pack_steps import PackedSteps, packed_rows
from components.train.stages.pipeline import Shapes, StagePipeline
from components.train.stages.score_reference import ReferenceScorer
from components.train.stages.settings import StageSettings
from components.train.stages.stage_model import StageModel
from components.train.stages.stage_trainer import StageTrainer
from components.train.stages.staged_model import StagedModel


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
        SettingsError: the stages do not fit its layers, or the pipelines the devices.
    """
    scored = steps.reading_all()
    if objective.reference_columns:
        steps = replace(steps, least_length=scored.length)
    ranks = Ranks.from_environment()
    device = torch.device("cuda", ranks.local_rank) if torch.cuda.is_available() else torch.device("cpu")
    outline = load_outline(start, name, settings)
    model = StagedModel.of_outline(outline, start, name, settings, length=steps.length, task=task)
    sample = SampledRun(objective, rows, steps, device)
    calibration = Calibration(model, stages.pipelines, sample, earlier)
    pipelines, recomputed = choose_layers(model, stages, calibration)
    settings = settings.model_copy(update={"gradient_checkpointing": recomputed})
    own = next(pipeline for pipeline in pipelines if ranks.rank in pipeline.ranks)
    made = _own_stages(replace(model, settings=settings), own, ranks, objective, device)
    named = (entry for stage in made.values() for entry in stage.model.named_parameters())
    masters = Masters({name: weight for name, weight in named if weight.requires_grad})
    pipeline = StagePipeline(
        made,
        number=len(own.spans),
        schedule=stages.schedule,
        micro_batches=own.micro_batches,
        shapes=Shapes(steps.length, model.width, next(next(iter(made.values())).parameters()).dtype),
        objective=objective,
        device=device,
        group=_own_group(pipelines, own, device),
    )
    set_seed(settings.seed)
    if ranks.is_main:
        say(task, described(stages, pipelines, ranks.world, steps))
    _choose_attention(made.values(), sample, task)
    if objective.reference_columns:
        scorer = ReferenceScorer(pipeline, pipelines, own, objective, scored, device, task if ranks.is_main else "")
        rows = _with_reference(reference, scorer, objective, rows)
    trainer = StageTrainer(
        settings=settings,
        ranks=ranks,
        folder=folder,
        objective=objective,
        rows=rows,
        steps=steps,
        pipelines=pipelines,
        pipeline=pipeline,
        masters=masters,
        optimizer=make_optimizer(settings, [stage.model for stage in made.values()], masters.tensors),
        gradients=Gradients(masters.tensors),
        outline=outline,
        device=device,
    )
    trainer.plan = calibration.record
    return trainer


def described(stages: StageSettings, pipelines: Sequence[JobPipeline], ranks: int, steps: PackedSteps) -> str:
    """The stages, for the log."""
    spans = pipelines[0].spans
    layers = ", ".join(str(end - first) for first, end in spans)
    beside = "" if len(pipelines) == 1 else f"{len(pipelines)} pipelines, each of "
    return (
        f"{beside}{len(spans)} stages of {layers} layers on {ranks // len(pipelines)} processes, schedule "
        f"{stages.schedule}: {steps.micro_batches} micro-batches of {steps.length:,} positions in each step"
    )


def _own_group(
    pipelines: Sequence[JobPipeline], own: JobPipeline, device: torch.device
) -> torch.distributed.ProcessGroup | None:
    """The group of this process's pipeline; None where there is one. Every process calls it."""
    if len(pipelines) == 1:
        return None
    groups = {pipeline.ranks: torch.distributed.new_group(list(pipeline.ranks)) for pipeline in pipelines}
    # NCCL joins a group in its first operation, which all its processes must take part in; stages send to neighbours.
    torch.distributed.all_reduce(torch.zeros(1, device=device), group=groups[own.ranks])
    return groups[own.ranks]


def _own_stages(
    model: StagedModel, pipeline: JobPipeline, ranks: Ranks, objective: Objective[Any], device: torch.device
) -> dict[int, StageModel]:
    """This process's stages by number, checked."""
    own, spans = pipeline.stages_of(ranks.rank), pipeline.spans
    made = {}
    loaded = load_stages(model.start, model.name, model.settings, [spans[number] for number in own])
    for number, (part, parts) in zip(own, loaded, strict=True):
        made[number] = StageModel(_prepared(part, model.settings, objective).to(device), is_first=number == 0)
        check_stage(made[number], parts, is_last=number == len(spans) - 1)
    return made


def _choose_attention(stages: Collection[StageModel], sample: SampledRun, task: str) -> None:
    """Choose this process's kernel of attention by measurement, as without stages; every process calls this."""

    def choose() -> KernelChoice:
        calls = [call for stage in stages for call in stage.calls]
        config = next(iter(stages)).base[0].config
        segments = packed_rows(sample.micro_batch()).segments
        return choose_kernel(calls_in_training(calls, sample.objective, config), segments)

    kernel = kernel_of_all(choose, task)
    for stage in stages:
        stage.kernel = kernel


def _with_reference(reference: ReferenceOutput, scorer: ReferenceScorer, objective: Objective[Any], rows: Any) -> Any:
    """The data set with the reference's log-probs as columns."""
    names = objective.reference_columns
    columns = reference.columns(rows, names, lambda: scorer.score(rows))
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
