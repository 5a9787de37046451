"""The graphs from collect to curate and to select, which pipelines with the same data share."""

from typing import Any, NamedTuple

from components.collect.component import collect
from components.curate.component import curate
from components.select.component import select
from components.synthesize.component import synthesize
from pipelines.data.recipe import DataSteps, ProblemSteps
from pipelines.placement.place_tasks import Placer
from pipelines.placement.task import plain


class PreparedData(NamedTuple):
    """Outputs of tasks: the rows to train on, and the questions to ask; `rows_uri` is the address of the rows."""

    rows: Any
    benchmarks: Any
    rows_uri: Any


class Problems(NamedTuple):
    """Outputs of tasks: the curated instructions, and the questions to ask."""

    instructions: Any
    benchmarks: Any


def prepare_problems(recipe: ProblemSteps, root: Any, placed: Placer) -> Problems:
    """Add the tasks from collect to curate to the pipeline that is being built.

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
    return Problems(curated.outputs["dataset"], benchmarks)


def prepare_data(recipe: DataSteps, root: Any, placed: Placer) -> PreparedData:
    """Add the tasks from collect to select to the pipeline that is being built.

    Args:
        recipe: the settings of the steps.
        root: the pipeline's parameter with the store's root.
        placed: names and places tasks.
    """
    problems = prepare_problems(recipe, root, placed)
    answered = placed(synthesize(root=root, settings=plain(recipe.synthesize), dataset=problems.instructions))
    selected = placed(select(root=root, settings=plain(recipe.select), responses=answered.outputs["responses"]))
    return PreparedData(selected.outputs["dataset"], problems.benchmarks, selected.outputs["Output"])
