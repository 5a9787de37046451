"""The settings of the analysis of a study: its arms, what was tried, and how it is judged."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.shared.settings import Settings

BASE = "base"
"""The name of the model that all arms start from."""
PART_OF_KEY = r"^[A-Za-z0-9][A-Za-z0-9@._+-]*$"
"""Names of arms and rates: they are parts of the keys of evaluations, between slashes."""
Rate = Annotated[str, Field(pattern=PART_OF_KEY)]


class AnalysedArm(Settings):
    """One arm: a training, or a chain of trainings, with all learning rates that were tried."""

    name: str = Field(pattern=PART_OF_KEY, description="the arm's name, the first part of its evaluations' keys")
    does: str = Field("", description="what it is, in a few words, for the table")
    stages: tuple[str, ...] = Field(
        min_length=1, description="its training methods in order, such as [sft, dpo]; one of them: a single-stage arm"
    )
    lora_rank: int | None = Field(None, ge=1, description="rank of its adapters; left out: all weights are trained")
    rates: tuple[Rate, ...] = Field(
        min_length=1, description="learning rates tried in the last stage, as the recipe has them"
    )
    family: str = Field(
        "study",
        min_length=1,
        description="arms of one family are tested together: p-values are corrected for the number of its tests",
    )

    @field_validator("rates")
    @classmethod
    def _rates_are_numbers(cls, rates: tuple[str, ...]) -> tuple[str, ...]:
        for rate in rates:
            try:
                float(rate)
            except ValueError:
                raise ValueError(f"{rate!r} is not a number: rates are learning rates such as 1e-4") from None
        return rates

    @property
    def is_single_stage(self) -> bool:
        """Whether it trains once."""
        return len(self.stages) == 1


class JudgingSettings(Settings):
    """How a study is judged, whatever its arms."""

    tested_against: tuple[Literal["base", "best-single-stage"], ...] = Field(
        ("base", "best-single-stage"),
        description="the tests of a family: every arm against the base, and every arm of several stages against the "
        "single-stage arm that validation prefers",
    )
    alpha: float = Field(0.05, gt=0, lt=0.5, description="level of tests after Holm's correction; 1 - alpha: intervals")
    power: float = Field(0.8, gt=0.5, lt=1, description="probability with which the smallest difference would be found")
    resamples: int = Field(
        10_000, ge=100, description="of the bootstrap, and of the exact test where scores have no common fraction"
    )
    seed: int = Field(0, ge=0, description="seed of these draws")


class AnalyseSettings(JudgingSettings):
    """What determines the analysis of a study."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"run_name", "recipe_digest"})

    arms: tuple[AnalysedArm, ...] = Field(min_length=1, description="the arms, in the order of the table")
    seeds: tuple[int, ...] = Field(
        min_length=1, description="seeds of training, the same for every arm; fewer than three say little about noise"
    )
    benchmark: str = Field(description="the primary benchmark: rates are chosen and arms are judged by it")
    forgetting: tuple[str, ...] = Field(
        (), description="benchmarks of what the arms were not trained for; shown with intervals, never tested"
    )
    matched: str = Field("nothing", description="what of the arms' compute was matched, for the report")
    title: str = Field("", description="title of the report; empty: Study")
    run_name: str = Field("", description="name of the run, for the report")
    recipe_digest: str = Field("", description="SHA-256 of the recipe that started the run, for the report")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [BASE, *(arm.name for arm in self.arms)]
        for what, values in (("arm", names), ("seed", [str(seed) for seed in self.seeds])):
            if repeated := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{what} {', '.join(repeated)} more than once (the base is named {BASE})")
        if self.benchmark in self.forgetting:
            raise ValueError(f"{self.benchmark} is the primary benchmark: leave it out of forgetting")
        return self
