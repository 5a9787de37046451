"""The part of a recipe that judges models: how each is evaluated, how they are compared, which is promoted."""

from typing import Any, Protocol, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from components.compare.settings import CompareSettings
from components.evaluate.settings import EvaluationSettings
from components.models.generators.registry import AnyGeneratorSettings
from components.publish.settings import PublishSettings
from components.shared.settings import Settings

BASE = "base"
MOVED_TO_COMPARE = ("correction", "selection_share", "resamples")
"""Keys that `evaluate` had before the comparison became a step of its own."""


SomeSettings = TypeVar("SomeSettings", bound=Settings)


def narrowed(kind: type[SomeSettings], settings: SomeSettings) -> SomeSettings:
    """The settings of a step, without the keys that a recipe adds to them."""
    given = kind.model_fields.keys() & settings.model_fields_set
    return kind(**{field: getattr(settings, field) for field in given})


class Evaluating(EvaluationSettings):
    """How every model is evaluated, and the endpoints that are evaluated besides."""

    endpoints: dict[str, AnyGeneratorSettings] = Field(
        {},
        description="models that are only endpoints, such as the teacher, by the name of their row in the table: they "
        "are asked the same questions and compared with the base, and never promoted",
    )

    def of(self, name: str) -> EvaluationSettings:
        """The settings of the evaluation of a model or an endpoint; those of a model do not depend on the endpoints."""
        settings = narrowed(EvaluationSettings, self)
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


class JudgingSteps(Protocol):
    """The settings of the steps that judge models: a recipe's."""

    @property
    def name(self) -> str: ...
    @property
    def student(self) -> str: ...
    @property
    def evaluate(self) -> Evaluating: ...
    @property
    def compare(self) -> CompareSettings: ...
    @property
    def publish(self) -> PublishSettings: ...
    def key_material(self) -> dict[str, Any]: ...


def comparing(recipe: JudgingSteps) -> CompareSettings:
    """The settings of the comparison."""
    return narrowed(CompareSettings, recipe.compare)
