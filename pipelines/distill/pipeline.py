"""The declaration of the pipeline `distill`."""

from typing import Any

from pipelines.data.recipe import examine, external_inputs
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


PIPELINE = Pipeline(
    name="distill",
    does="improve a student with data that a teacher guides: training, merges, each compared with the base",
    recipe=DistillRecipe,
    build=_build,
    tasks=tasks,
    find_faults=find_faults,
    external_inputs=external_inputs,
    examine=examine,
    preview=preview,
)
