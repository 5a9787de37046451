"""The recipe of the pipeline `distill`."""

from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from components.compare.settings import CompareSettings
from components.evaluate.settings import EvaluationSettings
from components.merge.settings import MergeSettings
from components.models.generators.registry import AnyGeneratorSettings
from components.publish.settings import PublishSettings
from components.shared.settings import Settings
from components.train.methods.registry import AnyTrainSettings
from pipelines.data.recipe import DataRecipe

STUDENT = "student"
BASE = "base"
MOVED_TO_COMPARE = ("correction", "selection_share", "resamples")
"""Keys that `evaluate` had before the comparison became a step of its own."""


class Training(Settings):
    """One trained variant."""

    start: str = Field(STUDENT, description="where training starts: `student`, or the name of another variant")
    settings: AnyTrainSettings


class Evaluating(EvaluationSettings):
    """How every model is evaluated, and the endpoints that are evaluated besides."""

    endpoints: dict[str, AnyGeneratorSettings] = Field(
        {},
        description="models that are only endpoints, such as the teacher, by the name of their row in the table: they "
        "are asked the same questions and compared with the base, and never promoted",
    )

    def of(self, name: str) -> EvaluationSettings:
        """The settings of the evaluation of a model or an endpoint; those of a model do not depend on the endpoints."""
        given = EvaluationSettings.model_fields.keys() & self.model_fields_set
        settings = EvaluationSettings(**{field: getattr(self, field) for field in given})
        return settings.model_copy(update={"generator": self.endpoints[name]}) if name in self.endpoints else settings

    @model_validator(mode="before")
    @classmethod
    def _say_where_settings_moved(cls, given: Any) -> Any:
        moved = [name for name in MOVED_TO_COMPARE if isinstance(given, dict) and name in given]
        if moved:
            raise ValidationError.from_exception_data(cls.__name__, [_moved(name, given[name]) for name in moved])
        return given


def _moved(name: str, value: Any) -> InitErrorDetails:
    message = f"moved: models are compared by a step of their own; write it as compare.{name}"
    return InitErrorDetails(type=PydanticCustomError("moved", message), loc=(name,), input=value)


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
