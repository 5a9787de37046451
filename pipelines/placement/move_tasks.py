"""Applies the jobs of a placement to tasks, before they are compiled."""

from collections.abc import Sequence
from dataclasses import replace

from components.launch.job import Launch
from components.launch.pods import Pods
from components.shared.settings import Settings
from components.shared.step import Image
from pipelines.placement.placement import Placement
from pipelines.placement.task import Task


def move_tasks(placement: Placement, tasks: Sequence[Task]) -> list[Task]:
    """The tasks with every launch that the placement replaces, and local files embedded in their settings.

    Raises:
        SettingsError: a local file that settings name cannot be read.
        pydantic.ValidationError: settings do not fit the launch; `check_placement` reports it with its line.
    """
    return [_moved(placement, task) for task in tasks]


def launch_of(placement: Placement, task: Task) -> Launch:
    """The launch of a task: the placement's for the task or its step, else its own; pods inherit the placement's."""
    chosen = placement.jobs.get(task.name) or placement.jobs.get(task.step.name) or task.launch or Launch()
    if not chosen.on_cluster:
        return chosen
    return chosen.model_copy(update={"pods": _inherited(placement, task, chosen.pods)})


def place_of_job(placement: Placement, task: Task) -> str:
    """The key in `jobs` that replaces the launch of a task; empty if none does."""
    names = (task.name, task.step.name) if task.step.program else ()
    return next((name for name in names if name in placement.jobs), "")


def any_on_cluster(placement: Placement, tasks: Sequence[Task]) -> bool:
    """Whether any task starts a job on a cluster."""
    return any(task.step.program and launch_of(placement, task).on_cluster for task in tasks)


def with_launch(settings: Settings, launch: Launch) -> Settings:
    """The settings with another launch, validated again: batches must divide by the ranks. Raises ValidationError."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return type(settings).model_validate({**given, "launch": launch})


def _moved(placement: Placement, task: Task) -> Task:
    if task.settings is None:
        return task
    settings = with_launch(task.settings, launch_of(placement, task)) if task.step.program else task.settings
    return replace(task, settings=task.step.embed(settings))


def _inherited(placement: Placement, task: Task, pods: Pods) -> Pods:
    """A job's pods: its own values, else the placement's; mappings are merged."""
    common = {name: getattr(placement.pods, name) for name in placement.pods.model_fields_set}
    own = {name: getattr(pods, name) for name in pods.model_fields_set}
    if "image" in own:
        own["image"] = _own_image(placement, task, pods.image)
    both = {
        name: {**value, **own[name]}
        for name, value in common.items()
        if isinstance(value, dict) and isinstance(own.get(name), dict) and name != "affinity"
    }
    return Pods(**{"image": placement.image_of(task.step.name, task.image_needed), **common, **own, **both})


def _own_image(placement: Placement, task: Task, image: str) -> str:
    """The image that a job names; in place of a copy of its step's, the placement's copy of the one that it needs."""
    needed = task.image_needed
    if needed is None or Image.shipped_as(image) is not task.step.image:
        return image
    copy = placement.images.get(needed.value)
    return copy or (needed.reference if image == task.step.image.reference else image)
