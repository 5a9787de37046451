"""The settings of evaluation: what is asked, how a model answers, and how models are compared."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.evaluate.benchmarks.benchmark import no_shots
from components.evaluate.benchmarks.registry import BENCHMARKS
from components.shared.sandbox import Limits
from components.shared.settings import Settings, known

BASE = "base"

BenchmarkName = Annotated[str, known(BENCHMARKS, "benchmark"), Field(json_schema_extra={"enum": list(BENCHMARKS)})]


class BenchmarkSettings(Settings):
    """One benchmark; what is left out is as its file in `benchmarks/` says."""

    name: BenchmarkName = Field(description="which benchmark")
    limit: int | None = Field(
        None, ge=1, description="most questions asked, spread evenly over the set; all when empty"
    )
    few_shot: int | None = Field(
        None, ge=0, description="worked examples before each question; the benchmark's if empty"
    )
    max_tokens: int | None = Field(None, ge=1, description="longest answer, in tokens; the benchmark's when empty")

    @model_validator(mode="after")
    def _has_worked_examples(self) -> Self:
        if self.few_shot and BENCHMARKS[self.name].shots is no_shots:
            raise ValueError(f"{self.name} has no worked examples: leave few_shot out, or set it to 0")
        return self


class EvaluationSettings(Settings):
    """What makes one model's evaluation."""

    apart_from_key: ClassVar[frozenset[str]] = frozenset(
        {"batch", "device", "allow_remote_code", "allow_pickled_weights"}
    )

    benchmarks: tuple[BenchmarkSettings, ...] = Field(min_length=1, description="what is asked, in this order")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="type of the weights and activations; auto: that of the model's files"
    )
    batch: int = Field(128, ge=1, description="prompts answered together")
    device: str = Field("auto", description="torch device such as cpu or cuda:0; auto: the GPU where there is one")
    seed: int = Field(0, ge=0, description="seed of torch, and of permutations; answers are greedy and need none")
    allow_remote_code: bool = Field(False, description="run Python code that comes with a model (trust_remote_code)")
    allow_pickled_weights: bool = Field(False, description="load weights that are not safetensors: they can run code")
    sandbox: Limits = Field(Limits(), description="limits of the code that humaneval runs")

    @field_validator("benchmarks")
    @classmethod
    def _once(cls, benchmarks: tuple[BenchmarkSettings, ...]) -> tuple[BenchmarkSettings, ...]:
        names = [benchmark.name for benchmark in benchmarks]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(repeated)} more than once; name each benchmark once")
        return benchmarks


class EvaluateSettings(EvaluationSettings):
    """What makes the comparison of all models with the base."""

    correction: Literal["holm", "none"] = Field(
        "holm", description="p-values corrected for the number of models compared on a benchmark (Holm 1979), or not"
    )
    selection_share: float = Field(
        0.5,
        ge=0.05,
        le=0.95,
        description="share of each benchmark's questions on which the best model is chosen, by a fixed hash of "
        "benchmark and question; it is judged on the others, since the score by which it was chosen flatters it",
    )
    resamples: int = Field(
        10_000, ge=100, description="permutations behind a p-value, for benchmarks with fractional scores"
    )

    @property
    def evaluation(self) -> EvaluationSettings:
        """The part that one model's evaluation depends on."""
        return EvaluationSettings(**{name: getattr(self, name) for name in EvaluationSettings.model_fields})
