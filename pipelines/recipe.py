"""The typed recipe: one YAML file that says everything about a run."""

from typing import Any, ClassVar

from pydantic import Field, model_validator

from components.collect.settings import CollectSettings
from components.curate.settings import CurateSettings
from components.evaluate.settings import EvaluateSettings
from components.merge.settings import MergeSettings
from components.models.teacher import TeacherSettings
from components.publish.settings import PublishSettings
from components.select.settings import SelectSettings
from components.shared.settings import Settings
from components.synthesize.settings import SynthesizeSettings
from components.train.settings import TrainSettings
from pipelines.placement import Placement

STUDENT = "student"
BASE = "base"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$"


class Training(Settings):
    """One trained variant."""

    start: str = Field(STUDENT, description="where training starts: `student`, or the name of another variant")
    settings: TrainSettings


class Recipe(Settings):
    """Everything about a run, checked before anything starts.

    Names of variants and merges are labels of at most 40 characters: lower-case letters, digits and `-`.
    """

    apart_from_key: ClassVar[frozenset[str]] = frozenset({"placement", "store", "variables", "title"})

    name: str = Field(pattern=NAME_PATTERN, description="the run's name")
    title: str = Field("", description="one line for people")
    store: str = Field(description="root of all outputs: s3://BUCKET/PREFIX or a folder")
    variables: dict[str, str] = Field({}, description="values for ${NAME} in this file; --set NAME=VALUE overrides")
    student: str = Field(description="the model to train: folder, package:FOLDER, store URI or hub id")
    teacher: TeacherSettings | None = Field(None, description="the teacher of every step that names none of its own")
    collect: CollectSettings
    curate: CurateSettings
    synthesize: SynthesizeSettings
    select: SelectSettings
    train: dict[str, Training] = Field(min_length=1, description="variants by name")
    merge: dict[str, MergeSettings] = Field({}, description="merges by name")
    evaluate: EvaluateSettings
    publish: PublishSettings
    placement: Placement = Placement()

    @model_validator(mode="before")
    @classmethod
    def _fill_in_models(cls, given: Any) -> Any:
        """Hand the recipe's teacher and student to the steps that take one and name none."""
        if not isinstance(given, dict):
            return given
        steps = {"curate": ("teacher",), "synthesize": ("teacher", "student")}
        filled = {}
        for step, fields in steps.items():
            settings = given.get(step)
            if isinstance(settings, dict):
                filled[step] = {**{name: given[name] for name in fields if given.get(name)}, **settings}
        return {**given, **filled}


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as plain values: what the recipe says, and no defaults, so that compiled pipelines stay short.

    A pipeline's constants hold no nulls; `check_recipe` sees to it that a null only restates a default.
    """
    return settings.model_dump(mode="json", exclude_unset=True, exclude_none=True)
