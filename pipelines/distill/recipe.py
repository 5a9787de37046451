"""The recipe of the pipeline `distill`."""

from typing import Literal

from pydantic import Field

from components.compare.settings import CompareSettings
from components.merge.settings import MergeSettings
from components.publish.settings import PublishSettings
from components.shared.settings import Settings
from components.train.methods.registry import AnyTrainSettings
from pipelines.data.recipe import DataRecipe
from pipelines.promotion.recipe import BASE, Evaluating

STUDENT = "student"


class Training(Settings):
    """One trained variant."""

    start: str = Field(STUDENT, description="where training starts: `student`, or the name of another variant")
    settings: AnyTrainSettings


class DistillRecipe(DataRecipe):
    """Everything about a run of `distill`, checked before anything starts.

    Names of variants and merges are parts of task names, so labels: at most 40 lower-case letters, digits and `-`.
    """

    pipeline: Literal["distill"] = Field("distill", description="the pipeline that runs")
    train: dict[str, Training] = Field(min_length=1, description="variants by name")
    merge: dict[str, MergeSettings] = Field({}, description="merges by name")
    evaluate: Evaluating
    compare: CompareSettings = CompareSettings()
    publish: PublishSettings


def model_names(recipe: DistillRecipe) -> list[str]:
    """The models that are files, in the order of reports: the base, the variants, the merges."""
    return [BASE, *training_order(recipe), *recipe.merge]


def sweep_of(recipe: DistillRecipe, name: str) -> list[str]:
    """The merges that read the same models as one of them, in order; the first one's task makes all in one pass."""
    merging = recipe.merge[name]
    return [one for one, other in recipe.merge.items() if one == name or merging.reads_alike(other)]


def training_order(recipe: DistillRecipe) -> list[str]:
    """The variants, each after the one that it starts from, otherwise in the recipe's order.

    A variant whose start does not exist, which `find_faults` reports, keeps its place.
    """
    order: list[str] = []
    waiting = list(recipe.train)
    while waiting:
        startable = (name for name in waiting if recipe.train[name].start in {STUDENT, *order})
        ready = next(startable, waiting[0])
        order.append(ready)
        waiting.remove(ready)
    return order
