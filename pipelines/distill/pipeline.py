"""The declaration of the pipeline `distill`."""

from collections.abc import Iterator
from typing import Any

from components.models.generators.examine import models_in
from components.models.reference import as_parent
from components.shared.finding import Look
from components.shared.outputs.digest import hex_of
from components.shared.step import ExternalInput
from pipelines.distill.check_recipe import find_faults
from pipelines.distill.preview import preview
from pipelines.distill.recipe import DistillRecipe
from pipelines.distill.tasks import tasks
from pipelines.pipeline import Pipeline
from pipelines.placement.placement import Placement


def _build(recipe: DistillRecipe, placement: Placement | None) -> Any:
    """The graph. kfp is imported only here: it takes two seconds, and most commands build no graph."""
    from pipelines.distill.graph import distill

    return distill(recipe, placement)


def _external_inputs(recipe: DistillRecipe) -> Iterator[ExternalInput]:
    """The models that the recipe names for several steps."""
    yield ExternalInput(("student",), recipe.student, is_model=True)
    if recipe.teacher:
        yield from models_in(recipe.teacher, ("teacher",))


def _examine(recipe: DistillRecipe) -> Iterator[Look]:
    """Looks at the student, which trainings and the evaluation load."""
    yield Look(
        "student", recipe.student, lambda: hex_of(as_parent(recipe.student).digest, 12), f"model {recipe.student}"
    )


PIPELINE = Pipeline(
    name="distill",
    does="improve a student with data that a teacher guides: training, merges, each compared with the base",
    recipe=DistillRecipe,
    build=_build,
    tasks=tasks,
    find_faults=find_faults,
    external_inputs=_external_inputs,
    examine=_examine,
    preview=preview,
)
