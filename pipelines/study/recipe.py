"""The recipe of the pipeline `study`."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components.analyse.settings import JudgingSettings
from components.collect.settings import CollectSettings
from components.curate.settings import CurateSettings
from components.evaluate.settings import EvaluationSettings
from components.select.settings import SelectSettings
from components.shared.settings import Settings
from components.shared.step import Location
from components.synthesize.settings import SynthesizeSettings
from components.train.methods.registry import AnyTrainSettings
from pipelines.data.recipe import StudentRecipe
from pipelines.study.arms import Arm, ArmGrid, Rate
from pipelines.study.compute import Compute

PLANNED = ("epochs", "stop_after_epochs", "hand_over_epochs", "learning_rate", "lora", "seed", "on_divergence")
"""Settings of a training that the study decides: by the arms, the rates and the seeds."""


AS_GIVEN = "as-given"
"""The value of `rows` by which sources are trained on as they are."""


class RatesByWeights(Settings):
    """Learning rates that are tried. Adapters need larger ones than all weights."""

    all: tuple[Rate, ...] = Field((), description="rates where all weights are trained")
    lora: tuple[Rate, ...] = Field((), description="rates where adapters are trained")


class StageMethod(Settings):
    """How the stages of one method are trained, and at which learning rates."""

    settings: AnyTrainSettings = Field(
        description=f"as in a recipe of distill, without what the study decides: {', '.join(PLANNED)}"
    )
    learning_rates: RatesByWeights = Field(RatesByWeights(), description="rates of the arms that name none")
    schedule_epochs: int | None = Field(
        None,
        ge=1,
        description="epochs of the learning rate's schedule in every stage of the method; left out: the most epochs "
        "that an arm asks for, from the same start. sft@3 and sft@9 are models of one training, so of one schedule: "
        "with `scheduler: constant` the earlier one is what a training of 3 epochs would be, but for the warm-up",
    )


class ValidationPart(Settings):
    """The questions on which learning rates are chosen."""

    benchmark: str = Field("", description="the benchmark that decides; left out: the first of evaluate.benchmarks")
    share: float = Field(0.5, ge=0.05, le=0.95, description="share of its questions, by a fixed hash of each")


class JudgedPart(Settings):
    """The questions on which arms are judged: those that no rate was chosen on."""

    benchmarks: tuple[str, ...] = Field(
        (), description="the benchmarks that are asked, of evaluate.benchmarks; left out: all of them"
    )


class StudyRecipe(StudentRecipe):
    """Everything about a run of `study`, checked before anything starts."""

    pipeline: Literal["study"] = Field("study", description="the pipeline that runs")
    rows: str = Field(
        "",
        description="where the rows come from. Left out: from collect to select, as in distill. as-given: the sources' "
        "own demonstrations and preferences, which no model labels, answers or scores, so that curate, synthesize and "
        "select may be left out. Else the address (select/KEY) of a selection that is in the store, or the URI of one "
        "in any store: its rows, and the questions that they were cleared of, are the data, in place of all four",
    )
    collect: CollectSettings | None = Field(None, description="as in a recipe of distill")
    curate: CurateSettings | None = Field(None, description="as in a recipe of distill")
    synthesize: SynthesizeSettings | None = Field(None, description="as in a recipe of distill")
    select: SelectSettings | None = Field(None, description="as in a recipe of distill")
    methods: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")], StageMethod] = Field(
        min_length=1, description="how each method trains, by the name that chains use, such as sft"
    )
    arms: tuple[Arm, ...] = Field((), description="what is compared; further arms may come from `grid`")
    grid: ArmGrid | None = Field(None, description="arms for every combination of chains and weights")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        min_length=1, description="seeds of every training, the same for all arms: arms pair by seed and question"
    )
    evaluate: EvaluationSettings = Field(description="the benchmarks, and how models answer; without `part`")
    validation: ValidationPart = ValidationPart()
    test: JudgedPart = JudgedPart()
    compute: Compute = Compute()
    analyse: JudgingSettings = Field(JudgingSettings(), description="levels, tests and draws of the analysis")
    parallel_trainings: int = Field(
        4,
        ge=1,
        description="on a cluster: most trainings that run at a time; the others wait. On one machine: one by one",
    )

    @property
    def adopts(self) -> bool:
        """Whether a selection that is there gives the rows."""
        return self.rows not in ("", AS_GIVEN)

    @property
    def given_arms(self) -> Iterator[tuple[Location, Arm]]:
        """All arms, each with its place in the recipe."""
        for number, arm in enumerate(self.arms):
            yield ("arms", number), arm
        for place, arm in self.grid.arms if self.grid else ():
            yield ("grid", "chains", place), arm

    @property
    def primary(self) -> str:
        """The benchmark by which rates are chosen."""
        return self.validation.benchmark or self.evaluate.benchmarks[0].name

    @property
    def judged(self) -> tuple[str, ...]:
        """The benchmarks of the part test."""
        return self.test.benchmarks or tuple(benchmark.name for benchmark in self.evaluate.benchmarks)
