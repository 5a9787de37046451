"""Plans the trainings of a recipe over the devices that its placement names, evenly and balanced, before any starts."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from components.launch.accelerators import CPU
from components.shared.errors import InputError, ModelError, SettingsError
from components.shared.step import Location
from components.train.engine.fit_memory import read_shape
from components.train.memory import USABLE, DecoderShape
from components.train.plan_split import least_bytes, plan_split, reference_seconds
from components.train.settings import SHARES_RULE, TrainSettings
from pipelines.pipeline import Recipe
from pipelines.placement.move_tasks import move_tasks, place_of_job
from pipelines.placement.task import Fault, Task
from pipelines.plan.count_rows import RowCount, RowCounter
from pipelines.plan.document import DeviceCost, PlanDocument, PlannedSplit, TrainingPlan
from pipelines.plan.list_devices import NamedDevices, list_devices
from pipelines.plan.read_start import read_start
from pipelines.registry import tasks_of

GIB = 2**30
SHARES = ("even", "speed")
NOTES = (
    "speeds are given (speed of a group), or published operations at 35 % of the peak, an assumption: nothing was "
    "measured here",
    f"memory is an estimate for rows of max_length; a plan uses {USABLE:.0%} of a device's",
    "rows are taken to be equally long; transfers are one ring over all ranks that overlaps nothing. Loading, "
    "checkpoints, saving and, for GRPO, the sampling of rollouts are not in the time",
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


def check_groups(recipe: Recipe, report: Callable[[str], None]) -> list[Fault]:
    """Groups of a placement that cannot hold the model of a training, before a run is started on them.

    Args:
        recipe: whose types are valid.
        report: called with what is allowed and matters, and with what could not be checked from here.
    """
    for words in _waiting_groups(recipe):
        report(words)
    try:
        return list(find_small_groups(recipe, PlanInputs()))
    except (ModelError, InputError) as error:
        report(f"whether its groups can hold the model was not checked: {error.problem}")
        return []


def _waiting_groups(recipe: Recipe) -> Iterator[str]:
    """Trainings over groups whose ranks take equal shares."""
    for task in _over_groups(recipe):
        if isinstance(task.settings, TrainSettings) and task.settings.shares == "even" and not task.settings.stages:
            yield (
                f"warning: {task.name} gives the ranks of all groups equal shares of a step, so each waits for the "
                "slowest; shares: speed gives each tokens in proportion to its speed"
            )


def find_small_groups(recipe: Recipe, inputs: PlanInputs) -> Iterator[Fault]:
    """Groups of a placement that cannot hold the model of a training."""
    reported: set[Location] = set()
    for task in _over_groups(recipe):
        settings, key = task.settings, place_of_job(recipe.placement, task)
        assert isinstance(settings, TrainSettings)
        shape, _ = inputs.shape_of(task, settings)
        for number, group in enumerate(settings.launch.groups):
            least = least_bytes(settings, shape, on_cpu=group.accelerator == CPU)
            location = ("placement", "jobs", key, "groups", number)
            if least > USABLE * group.memory_bytes and location not in reported:
                reported.add(location)
                yield Fault(location, _too_small(group.accelerator, group.memory_bytes, least, task.name))


def _over_groups(recipe: Recipe) -> list[Task]:
    """The trainings whose jobs have groups of nodes."""
    tasks = _trainings(move_tasks(recipe.placement, tasks_of(recipe)))
    return [task for task in tasks if task.launch is not None and task.launch.groups]


def _too_small(name: str, memory: int, least: int, task: str) -> str:
    return (
        f"{name} with {memory / GIB:.1f} GiB cannot hold the model of {task}"
        "\n    rule: every rank holds its part of the model, gradients and optimizer state, in "
        f"{USABLE:.0%} of its device's memory"
        f"\n    allowed: devices with {least / USABLE / GIB:.1f} GiB or more"
        "\n    remedy: leave the group out, shard more (deepspeed.stage 3), train adapters (lora), or offload"
    )


def plan_recipe(recipe: Recipe, inputs: PlanInputs) -> PlanDocument:
    """The plan of all trainings of a recipe; those that are planned alike are one.

    Raises:
        SettingsError: the recipe has no training, or its placement does not say what its devices are.
        ModelError: the shape of a start cannot be read.
        InputError: the files of a start cannot be read from this machine.
    """
    tasks = move_tasks(recipe.placement, tasks_of(recipe))
    trainings = list(_trainings(tasks))
    if not trainings:
        raise SettingsError(f"recipe {recipe.name!r} has no training", remedy="tutelage plan plans trainings alone")
    counter = RowCounter(recipe.store, tasks, inputs.rows, inputs.tokens)
    plans = [_plan(task, inputs, counter) for task in trainings]
    return PlanDocument(name=recipe.name, title=recipe.title, trainings=tuple(_together(plans)), notes=NOTES)


def _trainings(tasks: Iterable[Task]) -> Iterator[Task]:
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

    def planned(shares: str) -> PlannedSplit:
        return _planned(settings, shares, lambda changed: _timed(changed, shape, devices, count, steps))

    return TrainingPlan(
        tasks=(task.name,),
        method=settings.method,
        chosen="even" if settings.shares == "even" else "balanced",
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
        splits=tuple(planned(shares) for shares in SHARES),
    )


def _planned(settings: TrainSettings, shares: str, timed: Callable[[TrainSettings], PlannedSplit]) -> PlannedSplit:
    """One split, or why the settings refuse it."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    try:
        changed = type(settings).model_validate({**given, "shares": shares})
    except ValidationError as error:
        faults = [str(fault["msg"]).removeprefix("Value error, ") for fault in error.errors(include_url=False)]
        return PlannedSplit(split="even" if shares == "even" else "balanced", refused="; ".join(faults))
    return timed(changed)


def _timed(
    settings: TrainSettings, shape: DecoderShape, devices: Sequence[NamedDevices], count: RowCount, steps: int
) -> PlannedSplit:
    """One split with its time and its cost."""
    plan = plan_split(settings, shape, [each.devices for each in devices], count.tokens)
    if plan.split == "balanced" and plan.stage == 3:
        return PlannedSplit(
            split=plan.split, refused=f"{SHARES_RULE}; the estimate needs stage 3. Allowed: shares even"
        )
    reference = reference_seconds(settings, shape, plan, count.rows * count.tokens)
    step = plan.step_seconds
    seconds = None if step is None or reference is None else steps * step + reference
    hours = None if seconds is None else seconds / 3600
    # A part of the cost would look like all of it.
    unpriced = tuple(each.devices.kind.name for each in devices if each.price is None)
    return PlannedSplit(
        split=plan.split,
        plan=plan,
        reference_seconds=reference,
        seconds=seconds,
        device_hours=None if hours is None else hours * settings.ranks,
        costs=() if hours is None or unpriced else _costs(devices, hours),
        unpriced=unpriced if len(unpriced) < len(devices) else (),
    )


def _costs(devices: Sequence[NamedDevices], hours: float) -> tuple[DeviceCost, ...]:
    """What devices cost that have a price, by currency."""
    sums: dict[str, float] = {}
    for each in devices:
        if each.price is not None:
            paid = each.devices.kind.count * each.price.per_hour * hours
            sums[each.price.currency] = sums.get(each.price.currency, 0.0) + paid
    return tuple(DeviceCost(amount=amount, currency=currency) for currency, amount in sums.items())
