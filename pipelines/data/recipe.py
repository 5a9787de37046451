"""The part of a recipe that makes the rows to train on, and the questions to ask: from collect to select."""

from collections.abc import Iterator
from typing import Any, Protocol

from pydantic import Field, model_validator

from components.collect.settings import CollectSettings
from components.curate.settings import CurateSettings
from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.settings import EvaluationSettings
from components.models.generators.examine import models_in
from components.models.generators.registry import AnyGeneratorSettings
from components.models.reference import as_parent
from components.select.settings import SelectSettings
from components.shared.finding import Look
from components.shared.outputs.digest import hex_of
from components.shared.step import ExternalInput
from components.synthesize.settings import SynthesizeSettings
from pipelines.pipeline import Recipe
from pipelines.placement.task import Fault


class ProblemSteps(Protocol):
    """The settings of the steps that make problems and questions."""

    @property
    def collect(self) -> CollectSettings: ...
    @property
    def curate(self) -> CurateSettings: ...


class DataSteps(ProblemSteps, Protocol):
    """The settings of the steps that make the rows and the questions: a recipe, or what one says in fewer words."""

    @property
    def synthesize(self) -> SynthesizeSettings: ...
    @property
    def select(self) -> SelectSettings: ...


class StudentRecipe(Recipe):
    """A recipe that trains a student, whose steps share it and a teacher."""

    student: str = Field(description="the model to train: folder, package:FOLDER, store URI or hub id")
    teacher: AnyGeneratorSettings | None = Field(None, description="the teacher of every step that names no other")

    @model_validator(mode="before")
    @classmethod
    def _fill_in_models(cls, given: Any) -> Any:
        """Pass the recipe's teacher and student to the steps that need one and do not set it."""
        if not isinstance(given, dict):
            return given
        steps = {
            "curate": ("teacher",),
            "synthesize": ("teacher", "student"),
            "bridge": ("teacher",),
            "critique": ("teacher",),
        }
        filled = {}
        for step, fields in steps.items():
            settings = given.get(step)
            if isinstance(settings, dict):
                filled[step] = {**{name: given[name] for name in fields if given.get(name)}, **settings}
        return {**given, **filled}


class DataRecipe(StudentRecipe):
    """A recipe whose rows come from instructions with the responses of teacher and student."""

    collect: CollectSettings
    curate: CurateSettings
    synthesize: SynthesizeSettings
    select: SelectSettings


def external_inputs(recipe: StudentRecipe) -> Iterator[ExternalInput]:
    """The models that the recipe names for several steps."""
    yield ExternalInput(("student",), recipe.student, is_model=True)
    if recipe.teacher:
        yield from models_in(recipe.teacher, ("teacher",))


def examine(recipe: StudentRecipe) -> Iterator[Look]:
    """Looks at the student, which trainings and the evaluation load."""
    yield Look(
        "student", recipe.student, lambda: hex_of(as_parent(recipe.student).digest, 12), f"model {recipe.student}"
    )


def find_benchmark_faults(recipe: ProblemSteps, evaluation: EvaluationSettings) -> Iterator[Fault]:
    """Benchmarks of `evaluate` whose questions collect does not import, or imports without the check that they need."""
    there = recipe.collect.sets
    for number, benchmark in enumerate(evaluation.benchmarks):
        if benchmark.name not in there:
            yield Fault(
                ("evaluate", "benchmarks", number, "name"),
                f"benchmark {benchmark.name!r} has no data\n    rule: collect.benchmarks imports each benchmark"
                f"\n    allowed: {', '.join(there) or 'none: add it to collect.benchmarks'}",
            )
        elif benchmark.definition.needs_check and not there[benchmark.name]:
            yield Fault(
                ("evaluate", "benchmarks", number, "name"),
                f"the questions of {benchmark.name!r} have no check"
                f"\n    rule: benchmark {benchmark.protocol!r} scores a reply by the check of its question"
                "\n    remedy: give the set in collect.benchmarks a `check`, or set `benchmark` to one of "
                f"{', '.join(BENCHMARKS)}",
            )
