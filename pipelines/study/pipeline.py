"""The declaration of the pipeline `study`."""

from itertools import chain
from typing import Any

from pipelines.data.recipe import examine, external_inputs
from pipelines.pipeline import Pipeline
from pipelines.placement.placement import Placement
from pipelines.study.check_recipe import find_faults
from pipelines.study.given_rows import rows_elsewhere
from pipelines.study.recipe import StudyRecipe
from pipelines.study.tasks import tasks


def _build(recipe: StudyRecipe, placement: Placement | None) -> Any:
    """The graph. kfp is imported only here: it takes two seconds, and most commands build no graph."""
    from pipelines.study.graph import study

    return study(recipe, placement)


PIPELINE = Pipeline(
    name="study",
    does="find out which training is worth it: arms over learning rates and seeds, with error bars",
    recipe=StudyRecipe,
    build=_build,
    tasks=tasks,
    find_faults=find_faults,
    external_inputs=lambda recipe: chain(external_inputs(recipe), rows_elsewhere(recipe)),
    examine=examine,
    outlives_failures=True,
)
