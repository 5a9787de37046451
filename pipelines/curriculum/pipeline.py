"""The declaration of the pipeline `curriculum`."""

from typing import Any

from pipelines.curriculum.check_recipe import find_faults
from pipelines.curriculum.recipe import CurriculumRecipe
from pipelines.curriculum.tasks import tasks
from pipelines.data.recipe import examine, external_inputs
from pipelines.pipeline import Pipeline
from pipelines.placement.placement import Placement


def _build(recipe: CurriculumRecipe, placement: Placement | None) -> Any:
    """The graph. kfp is imported only here: it takes two seconds, and most commands build no graph."""
    from pipelines.curriculum.graph import curriculum

    return curriculum(recipe, placement)


PIPELINE = Pipeline(
    name="curriculum",
    does="teach what a student cannot do yet and reinforce what it can in part, in rounds, beside baselines",
    recipe=CurriculumRecipe,
    build=_build,
    tasks=tasks,
    find_faults=find_faults,
    external_inputs=external_inputs,
    examine=examine,
)
