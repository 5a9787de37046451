"""Checks of a recipe of any pipeline, beyond its types."""

from collections.abc import Iterator
from itertools import chain

from pydantic import BaseModel

from components.shared.step import ExternalInput, Location
from pipelines.pipeline import Recipe
from pipelines.placement.check_external_inputs import find_missing, find_unreachable
from pipelines.placement.check_images import find_image_faults
from pipelines.placement.check_placement import find_large_settings, find_local_store, find_placement_faults
from pipelines.placement.task import Fault, Task
from pipelines.registry import pipeline_of, tasks_of


def find_faults(recipe: Recipe, *, check_files: bool) -> list[Fault]:
    """All faults of a recipe whose types are valid.

    Args:
        recipe: of any pipeline.
        check_files: whether the local files that it names must exist.
    """
    tasks = tasks_of(recipe)
    return [
        *_nulls(recipe, ()),
        *pipeline_of(recipe).find_faults(recipe),
        *(find_missing(_external_inputs(recipe, tasks)) if check_files else ()),
        *find_placement_faults(recipe.placement, tasks),
    ]


def find_cluster_faults(recipe: Recipe) -> list[Fault]:
    """Everything in a recipe that pods on a cluster cannot reach or take."""
    tasks = tasks_of(recipe)
    return [
        *find_local_store(recipe.store),
        *find_unreachable(_external_inputs(recipe, tasks)),
        *find_large_settings(recipe.placement, tasks),
        *find_image_faults(recipe.placement, tasks),
    ]


def _external_inputs(recipe: Recipe, tasks: list[Task]) -> Iterator[ExternalInput]:
    """The recipe's own first: what it passes on to steps is reported where the user wrote it."""
    return chain(pipeline_of(recipe).external_inputs(recipe), *(task.external_inputs for task in tasks))


def _nulls(value: object, location: Location) -> Iterator[Fault]:
    """Nulls in place of another default: constants of a Kubeflow pipeline cannot be null."""
    if isinstance(value, BaseModel):
        for name in sorted(value.model_fields_set):
            item, default = getattr(value, name), type(value).model_fields[name].default
            if item is None and default is not None:
                yield Fault(
                    (*location, name),
                    f"null cannot be passed to a component; omit {name!r} for its default, {default!r}",
                )
            yield from _nulls(item, (*location, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _nulls(item, (*location, str(name)))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _nulls(item, (*location, number))
