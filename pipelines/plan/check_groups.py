"""Nodes that cannot hold a recipe's trainings, found before anything is started: groups, and the fewest nodes."""

from collections.abc import Callable, Iterator

from components.launch.accelerators import CPU
from components.launch.fewer_nodes import on_fewest_nodes
from components.shared.errors import InputError, ModelError, SettingsError
from components.shared.step import Location
from components.shared.text.counted import counted
from components.train.memory import USABLE
from components.train.plan_split import least_bytes
from components.train.settings import TrainSettings
from pipelines.pipeline import Recipe
from pipelines.placement.move_tasks import move_tasks, place_of_job
from pipelines.placement.task import Fault, Task
from pipelines.plan.list_devices import list_devices
from pipelines.plan.plan_pipelines import why_not_held
from pipelines.plan.plan_recipe import GIB, PlanInputs, trainings_of
from pipelines.registry import tasks_of


def check_groups(recipe: Recipe, report: Callable[[str], None]) -> list[Fault]:
    """Groups of a placement, or its fewest nodes, that cannot hold the model of a training, before a run is started.

    Args:
        recipe: whose types are valid.
        report: called with what is allowed and matters, and with what could not be checked from here.
    """
    for words in _waiting_groups(recipe):
        report(words)
    try:
        return list(find_small_groups(recipe, PlanInputs()))
    except (ModelError, InputError) as error:
        report(f"whether its nodes can hold the model was not checked: {error.problem}")
        return []


def find_small_groups(recipe: Recipe, inputs: PlanInputs, *, stages_help: bool = False) -> Iterator[Fault]:
    """Groups of a placement that cannot hold the model of a training, or its stages, and fewest nodes that cannot.

    Args:
        recipe: with its placement.
        inputs: beside it.
        stages_help: pass groups that are too small for data parallelism where stages, which the recipe does not ask
            for, would hold the model: a plan shows both.
    """
    reported: set[Location] = set()
    for task, settings in _trainings(recipe):
        if not (settings.launch.groups or settings.launch.may_shrink):
            continue
        for fault in _faults(recipe, task, settings, inputs, stages_help=stages_help):
            if fault.location not in reported:
                reported.add(fault.location)
                yield fault


def _trainings(recipe: Recipe) -> Iterator[tuple[Task, TrainSettings]]:
    """The trainings, with the launches of the placement."""
    for task in trainings_of(move_tasks(recipe.placement, tasks_of(recipe))):
        if isinstance(task.settings, TrainSettings):
            yield task, task.settings


def _waiting_groups(recipe: Recipe) -> Iterator[str]:
    """Trainings over groups whose ranks take equal shares."""
    for task, settings in _trainings(recipe):
        if settings.launch.groups and settings.shares == "even" and settings.stages is None:
            yield (
                f"warning: {task.name} gives the ranks of all groups equal shares of a step, so each waits for the "
                "slowest; shares: speed gives each tokens in proportion to its speed"
            )


def _faults(
    recipe: Recipe, task: Task, settings: TrainSettings, inputs: PlanInputs, *, stages_help: bool
) -> Iterator[Fault]:
    place = place_of_job(recipe.placement, task)
    job: Location = ("placement", "jobs", place) if place else (*task.location, "launch")
    found = list(_in_groups(job, task, settings, inputs, stages_help=stages_help)) if settings.launch.groups else []
    yield from found
    if settings.launch.may_shrink and not found:
        yield from _on_fewest_nodes(job, task, settings, inputs, stages_help=stages_help)


def _in_groups(
    job: Location, task: Task, settings: TrainSettings, inputs: PlanInputs, *, stages_help: bool
) -> Iterator[Fault]:
    """Groups that are too small, with all nodes."""
    shape, _ = inputs.shape_of(task, settings)
    location = (*job, "groups")
    in_stages = settings.stages is not None
    if in_stages or stages_help:
        why = why_not_held(settings, shape, list_devices(settings.launch, task.name, inputs.accelerator))
        if why and in_stages:
            yield Fault(location, _too_small_for_stages(task.name, why))
        if not why or in_stages:
            return
    for number, group in enumerate(settings.launch.groups):
        least = least_bytes(settings, shape, on_cpu=group.accelerator == CPU)
        if least > USABLE * group.memory_bytes:
            yield Fault((*location, number), _too_small(group.accelerator, group.memory_bytes, least, task.name))


def _on_fewest_nodes(
    job: Location, task: Task, settings: TrainSettings, inputs: PlanInputs, *, stages_help: bool
) -> Iterator[Fault]:
    """The fewest nodes, where they are too small: each then holds more of the optimizer's state, or more layers.

    Devices that are not known are not checked.
    """
    shape, _ = inputs.shape_of(task, settings)
    fewest = settings.with_launch(on_fewest_nodes(settings.launch))
    try:
        devices = list_devices(fewest.launch, task.name, inputs.accelerator)
    except SettingsError:
        return
    ranks = counted(fewest.ranks, "process", "processes")
    where = (*job, "groups") if settings.launch.groups else (*job, "least_nodes")
    in_stages = fewest.stages is not None
    why = why_not_held(fewest, shape, devices) if in_stages or stages_help else ""
    if in_stages and why:
        yield Fault(where, _too_few_for_stages(task.name, ranks, why))
    if in_stages or (stages_help and not why):
        return
    for each in devices:
        kind = each.devices.kind
        least = least_bytes(fewest, shape, on_cpu=each.devices.on_cpu)
        if least > USABLE * kind.memory_bytes:
            yield Fault(where, _too_few(kind.name, kind.memory_bytes, least, task.name, ranks))
            return


def _too_few(name: str, memory: int, least: int, task: str, ranks: str) -> str:
    return (
        f"least_nodes lets {task} continue on {ranks}, and there {name} with {memory / GIB:.1f} GiB cannot hold its "
        f"part of the model, {least / USABLE / GIB:.1f} GiB"
        "\n    rule: every rank holds its part of the model, gradients and optimizer state, in "
        f"{USABLE:.0%} of its device's memory, on the fewest nodes too"
        "\n    remedy: raise least_nodes, or leave it out"
    )


def _too_few_for_stages(task: str, ranks: str, why: str) -> str:
    return (
        f"least_nodes lets {task} continue on {ranks}, and there its stages do not fit: {why}"
        "\n    rule: each stage holds weights, gradients and optimizer state of its layers, and a micro-batch, in "
        f"{USABLE:.0%} of its device's memory, on the fewest nodes too"
        "\n    remedy: raise least_nodes, or leave it out"
    )


def _too_small(name: str, memory: int, least: int, task: str) -> str:
    return (
        f"{name} with {memory / GIB:.1f} GiB cannot hold the model of {task}"
        "\n    rule: every rank holds its part of the model, gradients and optimizer state, in "
        f"{USABLE:.0%} of its device's memory"
        f"\n    allowed: devices with {least / USABLE / GIB:.1f} GiB or more"
        "\n    remedy: leave the group out, shard more (deepspeed.stage 3), train adapters (lora), or offload"
    )


def _too_small_for_stages(task: str, why: str) -> str:
    return (
        f"these groups cannot hold the stages of {task}: {why}"
        "\n    rule: each stage holds weights, gradients and optimizer state of its layers, and a micro-batch, in "
        f"{USABLE:.0%} of its device's memory"
        "\n    remedy: add nodes, leave stages.layers out so that memory decides too, or train adapters (lora)"
    )
