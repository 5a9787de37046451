"""Settings of collect: where instructions and evaluation sets come from, and what is held out."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.collect.set_settings import AnySet, CheckedSource
from components.collect.source_settings import NAME, ReadingLimits, Source
from components.shared.settings import Settings


class Holdout(Settings):
    """Collected rows with a check that are kept from training and become an evaluation set."""

    name: str = Field("holdout", pattern=NAME, description="the set's name in questions, scores and reports")
    share: float = Field(
        0.05, gt=0, le=0.5, description="share of the templates (or instructions) held out, by a hash of each"
    )
    sources: tuple[str, ...] = Field((), description="sources that rows are held out of; empty: all")
    unit: Literal["template", "instruction"] = Field(
        "template",
        description="what is held out as one. template: all rows of a source that were made from one template, so that "
        "unseen tasks are measured; instruction: only rows with an equal instruction",
    )
    seed: int = Field(0, ge=0, description="another seed holds out other rows")


class DatasetSettings(ReadingLimits):
    """The part of the settings that determines the instructions."""

    sources: tuple[Source, ...] = Field(min_length=1, description="sources of instructions, read in this order")
    holdout: Holdout | None = Field(None, description="a share of the rows that is evaluated instead of learnt")

    @model_validator(mode="after")
    def _distinct_sources(self) -> Self:
        _require_distinct([source.name for source in self.sources])
        return self

    @model_validator(mode="after")
    def _held_out_of_known_sources(self) -> Self:
        names = [source.name for source in self.sources]
        unknown = [name for name in self.holdout.sources if name not in names] if self.holdout else []
        if unknown:
            raise ValueError(f"holdout: no source {', '.join(unknown)}; allowed: {', '.join(names)}")
        return self


class QuestionSettings(ReadingLimits):
    """The part of the settings that determines the evaluation questions."""

    benchmarks: tuple[AnySet, ...] = Field((), description="evaluation sets")
    seed: int = Field(0, ge=0, description="seed of the sample that a benchmark's `limit` takes")

    @model_validator(mode="after")
    def _distinct_benchmarks(self) -> Self:
        _require_distinct([benchmark.name for benchmark in self.benchmarks])
        return self


class CollectSettings(DatasetSettings, QuestionSettings):
    """Settings of collect. Each of its two outputs has an address that depends on its own part of them."""

    @property
    def dataset_part(self) -> DatasetSettings:
        """What determines the instructions."""
        return DatasetSettings(**{name: getattr(self, name) for name in DatasetSettings.model_fields})

    @property
    def benchmark_part(self) -> QuestionSettings:
        """What determines the evaluation questions, besides the rows held out."""
        return QuestionSettings(**{name: getattr(self, name) for name in QuestionSettings.model_fields})

    @property
    def sets(self) -> dict[str, bool]:
        """The evaluation sets by name, in order; whether their questions have a check."""
        held_out = {self.holdout.name: True} if self.holdout else {}
        return {each.name: isinstance(each, CheckedSource) for each in self.benchmarks} | held_out

    @model_validator(mode="after")
    def _distinct_sets(self) -> Self:
        held_out = [self.holdout.name] if self.holdout else []
        _require_distinct([benchmark.name for benchmark in self.benchmarks] + held_out)
        return self


def _require_distinct(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}; names must be unique")
