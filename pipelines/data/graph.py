"""The graph from collect to select, which pipelines with the same data share."""

from typing import Any, NamedTuple

from components.collect.component import collect
from components.curate.component import curate
from components.select.component import select
from components.synthesize.component import synthesize
from pipelines.data.recipe import DataSteps
from pipelines.placement.place_tasks import Placer
from pipelines.placement.task import plain


class PreparedData(NamedTuple):
    """Outputs of tasks: the rows to train on, and the questions to ask; `rows_uri` is the address of the rows."""

    rows: Any
    benchmarks: Any
    rows_uri: Any


def prepare_data(recipe: DataSteps, root: Any, placed: Placer) -> PreparedData:
    """Add the tasks to the pipeline that is being built.

    Args:
        recipe: the settings of the steps.
        root: the pipeline's parameter with the store's root.
        placed: names and places tasks.
    """
    collected = placed(collect(root=root, settings=plain(recipe.collect)))
    benchmarks = collected.outputs["benchmarks"]
    curated = placed(
        curate(
            root=root,
            settings=plain(recipe.curate),
            instructions=collected.outputs["dataset"],
            benchmarks=benchmarks,
        )
    )
    answered = placed(synthesize(root=root, settings=plain(recipe.synthesize), dataset=curated.outputs["dataset"]))
    selected = placed(select(root=root, settings=plain(recipe.select), responses=answered.outputs["responses"]))
    return PreparedData(selected.outputs["dataset"], benchmarks, selected.outputs["Output"])
