"""Applies the jobs of a placement to a recipe, before it is compiled."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from components.shared.settings import Settings
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
        if task.settings is not None and task.settings is not before.settings:
            moved = _updated(moved, task.location, _changed(before.settings, task.settings))
    return moved


def _changed(before: Settings | None, after: Settings) -> dict[str, Any]:
    """The values that were set or changed: several tasks may take their settings from one place, each with its own."""
    known = before.model_fields_set if before is not None else frozenset()
    return {
        name: getattr(after, name)
        for name in after.model_fields_set
        if name not in known or getattr(after, name) != getattr(before, name)
    }


def starts_on_cluster(recipe: Recipe) -> bool:
    """Whether any job of the recipe runs on a cluster."""
    return any_on_cluster(recipe.placement, tasks_of(recipe))


def _updated(value: Any, location: Location, changes: Mapping[str, Any]) -> Any:
    """Settings with other values at a location."""
    if not location:
        return value.model_copy(update=changes)
    first, rest = location[0], location[1:]
    if isinstance(value, BaseModel):
        name = str(first)
        return value.model_copy(update={name: _updated(getattr(value, name), rest, changes)})
    if isinstance(value, dict):
        return {**value, first: _updated(value[first], rest, changes)}
    return tuple(_updated(item, rest, changes) if number == first else item for number, item in enumerate(value))
