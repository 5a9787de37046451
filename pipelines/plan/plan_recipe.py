"""Plans the trainings of a recipe over the devices that its placement names, evenly and balanced, before any starts."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from components.launch.fewer_nodes import on_fewest_nodes
from components.shared.errors import ModelError, SettingsError
from components.train.balance.plan import SplitName
from components.train.engine.fit_memory import read_shape
from components.train.memory import USABLE, DecoderShape
from components.train.plan_split import plan_split, reference_seconds
from components.train.settings import SHARES_RULE, TrainSettings
from pipelines.pipeline import Recipe
from pipelines.placement.move_tasks import move_tasks
from pipelines.placement.task import Task
from pipelines.plan.change_settings import change_settings
from pipelines.plan.count_rows import RowCounter
from pipelines.plan.document import FewestNodes, PlanDocument, PlannedSplit, TrainingPlan
from pipelines.plan.list_devices import list_devices
from pipelines.plan.plan_pipelines import TrainingOnDevices, plan_pipelines
from pipelines.plan.read_start import read_start
from pipelines.plan.time_and_cost import planned_time
from pipelines.registry import tasks_of

GIB = 2**30
SHARES = ("even", "speed")
NOTES = (
    "speeds are given (speed of a group), or published operations at 35 % of the peak, an assumption: nothing was "
    "measured here",
    f"memory is an estimate for rows of max_length; a plan uses {USABLE:.0%} of a device's",
    "rows are taken to be equally long; transfers are one ring over all ranks that overlaps nothing, in stages those "
    "of a micro-batch beside the computing of its stage. Loading, checkpoints, saving and, for GRPO, the sampling of "
    "rollouts are not in the time",
)


@dataclass
class PlanInputs:
    """What a plan asks for beside the recipe.

    Attributes:
        rows: of an epoch, as given; None: of the store, or assumed.
        tokens: of a prompt with one response, likewise.
        accelerator: what devices are where the placement does not say it.
        config: a config.json, or a folder with one, in place of the trainings' start.
    """

    rows: int | None = None
    tokens: int | None = None
    accelerator: str = ""
    config: Path | None = None
    _shapes: dict[str, tuple[DecoderShape, str]] = field(default_factory=dict)

    def shape_of(self, task: Task, settings: TrainSettings) -> tuple[DecoderShape, str]:
        """The shape of a training's start, and where it was read. Raises ModelError and InputError."""
        start = task.inputs["start"]
        key = f"{start} {settings.lora}"
        if key not in self._shapes:
            model, source = read_start(start, self.config)
            shape = read_shape(model, settings)
            if shape is None:
                raise ModelError(
                    f"config.json of {start!r} ({source}) does not show the shape of a decoder",
                    rule="it has the width and the number of layers, and the weights' headers or vocab_size",
                    remedy="--config FILE: the config.json of a decoder",
                )
            self._shapes[key] = (shape, source)
        return self._shapes[key]


def plan_recipe(recipe: Recipe, inputs: PlanInputs) -> PlanDocument:
    """The plan of all trainings of a recipe; those that are planned alike are one.

    Raises:
        SettingsError: the recipe has no training, or its placement does not say what its devices are.
        ModelError: the shape of a start cannot be read.
        InputError: the files of a start cannot be read from this machine.
    """
    tasks = move_tasks(recipe.placement, tasks_of(recipe))
    trainings = list(trainings_of(tasks))
    if not trainings:
        raise SettingsError(f"recipe {recipe.name!r} has no training", remedy="tutelage plan plans trainings alone")
    counter = RowCounter(recipe.store, tasks, inputs.rows, inputs.tokens)
    plans = [_plan(task, inputs, counter) for task in trainings]
    return PlanDocument(name=recipe.name, title=recipe.title, trainings=tuple(_together(plans)), notes=NOTES)


def trainings_of(tasks: Iterable[Task]) -> Iterator[Task]:
    """The tasks that train."""
    return (task for task in tasks if isinstance(task.settings, TrainSettings))


def _together(plans: Sequence[TrainingPlan]) -> Iterator[TrainingPlan]:
    """Plans that differ in nothing but their task, as one."""
    alike: dict[str, list[TrainingPlan]] = {}
    for plan in plans:
        alike.setdefault(plan.model_dump_json(exclude={"tasks"}), []).append(plan)
    for found in alike.values():
        yield found[0].model_copy(update={"tasks": tuple(name for plan in found for name in plan.tasks)})


def _plan(task: Task, inputs: PlanInputs, counter: RowCounter) -> TrainingPlan:
    settings = task.settings
    assert isinstance(settings, TrainSettings)
    shape, source = inputs.shape_of(task, settings)
    devices = list_devices(settings.launch, task.name, inputs.accelerator)
    count = counter.count(settings)
    steps = math.ceil(count.rows / settings.global_batch) * settings.last_epoch
    training = TrainingOnDevices(settings, shape, devices, count, steps)
    splits = tuple(_planned(training, shares) for shares in SHARES)
    by_shares: SplitName = "even" if settings.shares == "even" else "balanced"
    return TrainingPlan(
        tasks=(task.name,),
        method=settings.method,
        chosen=by_shares if settings.stages is None else "stages",
        start=task.inputs["start"],
        start_from=source,
        parameters=shape.parameters,
        trained=shape.trained,
        global_batch=settings.global_batch,
        epochs=settings.last_epoch,
        steps=steps,
        rows=count.rows,
        row_tokens=count.tokens,
        rows_from=count.source,
        splits=splits,
        stages=plan_pipelines(training, splits),
        fewest=_on_fewest_nodes(training, task, inputs) if settings.launch.may_shrink else None,
    )


def _on_fewest_nodes(training: TrainingOnDevices, task: Task, inputs: PlanInputs) -> FewestNodes:
    """The same training on the fewest nodes, as its settings have it."""
    settings = training.settings.with_launch(on_fewest_nodes(training.settings.launch))
    devices = list_devices(settings.launch, task.name, inputs.accelerator)
    fewer = replace(training, settings=settings, devices=devices)
    if settings.stages is not None:
        return FewestNodes(ranks=settings.ranks, stages=plan_pipelines(fewer, ()))
    return FewestNodes(ranks=settings.ranks, split=_planned(fewer, settings.shares))


def _planned(training: TrainingOnDevices, shares: str) -> PlannedSplit:
    """One split, or why the settings refuse it."""
    changed = change_settings(training.settings, shares=shares, stages=None)
    if isinstance(changed, str):
        return PlannedSplit(split="even" if shares == "even" else "balanced", refused=changed)
    return _timed(changed, training)


def _timed(settings: TrainSettings, training: TrainingOnDevices) -> PlannedSplit:
    """One split with its time and its cost."""
    shape, devices, count = training.shape, training.devices, training.count
    plan = plan_split(settings, shape, [each.devices for each in devices], count.tokens)
    if plan.split == "balanced" and plan.stage == 3:
        return PlannedSplit(
            split=plan.split, refused=f"{SHARES_RULE}; the estimate needs stage 3. Allowed: shares even"
        )
    reference = reference_seconds(settings, shape, plan, count.rows * count.tokens)
    time = planned_time(devices, training.steps, plan.step_seconds, reference)
    return PlannedSplit(split=plan.split, plan=plan, **dict(time))
