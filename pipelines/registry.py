"""All pipelines. A new one is a folder, with its recipe's class, its builder and its tasks, and a line here."""

from collections.abc import Mapping
from typing import Any

from components.shared.errors import SettingsError
from pipelines.curriculum.pipeline import PIPELINE as CURRICULUM
from pipelines.distill.pipeline import PIPELINE as DISTILL
from pipelines.pipeline import Pipeline, Recipe
from pipelines.placement.task import Task
from pipelines.preview.preview import Preview
from pipelines.study.pipeline import PIPELINE as STUDY

PIPELINES: dict[str, Pipeline] = {pipeline.name: pipeline for pipeline in (DISTILL, STUDY, CURRICULUM)}
DEFAULT = DISTILL.name


def pipeline_named(name: str) -> Pipeline:
    """The pipeline of a name. Raises SettingsError with the names there are."""
    if name not in PIPELINES:
        raise SettingsError(
            f"unknown pipeline {name!r}",
            rule="a recipe's `pipeline` names the pipeline that it is for",
            allowed=list(PIPELINES),
            remedy=f"correct the name; without one, the pipeline is {DEFAULT}",
        )
    return PIPELINES[name]


def pipeline_of(recipe: Recipe) -> Pipeline:
    """The pipeline that a recipe is for."""
    return pipeline_named(recipe.pipeline)


def preview_of(recipe: Recipe, rows: int) -> Preview:
    """The preview of a recipe. Raises SettingsError when its pipeline has none."""
    preview = pipeline_of(recipe).preview
    if preview is None:
        raise SettingsError(
            f"the pipeline {recipe.pipeline!r} has no preview",
            allowed=[pipeline.name for pipeline in PIPELINES.values() if pipeline.preview],
            remedy="tutelage run runs it",
        )
    return preview(recipe, rows)


def tasks_of(recipe: Recipe) -> list[Task]:
    """The tasks of a recipe, in the order in which they run."""
    return list(pipeline_of(recipe).tasks(recipe))


def task_names(recipe: Recipe) -> list[str]:
    """The names of a recipe's tasks, in the order in which they run."""
    return [task.name for task in tasks_of(recipe)]


def recipe_from(content: Mapping[str, Any]) -> Recipe:
    """A recipe from plain values, in the class of its pipeline.

    Raises:
        SettingsError: there is no such pipeline.
        pydantic.ValidationError: the values are not a recipe of that pipeline.
    """
    return pipeline_named(str(content.get("pipeline", DEFAULT))).recipe.model_validate(content)
