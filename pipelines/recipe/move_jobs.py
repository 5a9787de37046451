"""Applies the jobs of a placement to a recipe, before it is compiled."""

from typing import Any

from pydantic import BaseModel

from components.shared.step import Location
from pipelines.pipeline import Recipe
from pipelines.placement.move_tasks import any_on_cluster, move_tasks
from pipelines.registry import tasks_of


def move_jobs(recipe: Recipe) -> Recipe:
    """The recipe with every launch that its placement replaces, and local files embedded in the settings of steps.

    Raises:
        SettingsError: a local file that settings name, such as a DeepSpeed configuration, cannot be read.
        pydantic.ValidationError: a step's settings do not fit the launch; `check_placement` reports it with its line.
    """
    moved = recipe
    tasks = tasks_of(recipe)
    for before, task in zip(tasks, move_tasks(recipe.placement, tasks), strict=True):
        # Several tasks may take their settings from one place, which has more than theirs.
        if task.settings is not None and task.settings is not before.settings:
            moved = _replaced(moved, task.location, task.settings)
    return moved


def starts_on_cluster(recipe: Recipe) -> bool:
    """Whether any job of the recipe runs on a cluster."""
    return any_on_cluster(recipe.placement, tasks_of(recipe))


def _replaced(value: Any, location: Location, part: Any) -> Any:
    """Settings with another value at a location."""
    if not location:
        return part
    first, rest = location[0], location[1:]
    if isinstance(value, BaseModel):
        name = str(first)
        return value.model_copy(update={name: _replaced(getattr(value, name), rest, part)})
    if isinstance(value, dict):
        return {**value, first: _replaced(value[first], rest, part)}
    return tuple(_replaced(item, rest, part) if number == first else item for number, item in enumerate(value))
