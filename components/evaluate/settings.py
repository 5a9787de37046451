"""The settings of evaluation: what is asked, and how a model answers."""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from components.evaluate.benchmarks.benchmark import AnswersPerQuestion, Benchmark, no_shots
from components.evaluate.benchmarks.registry import BENCHMARKS, CHECKED
from components.models.generators.generator import Ability
from components.models.generators.registry import BACKENDS, AnyBackendSettings
from components.models.generators.transformers import TransformersSettings
from components.shared.outputs.question_parts import is_in_first_part
from components.shared.rows import Question
from components.shared.sandbox.run_python import SandboxLimits
from components.shared.settings import Settings, known

SET_NAME = r"^[a-z][a-z0-9_-]{0,39}$"
"""It is a part of store keys and of the names of metrics."""

QUESTION_PLACE = "{question}"


def _replaced(name: str) -> str:
    """Refuse the benchmark that sets with a check replaced."""
    if name == "exact":
        raise ValueError(
            "the benchmark 'exact' was replaced by sets with a check: leave `benchmark` out, and give the set in "
            "collect.benchmarks a `check: {kind: exact, ignore_case: false}`"
        )
    return name


Part = Literal["all", "validation", "test"]
BenchmarkName = Annotated[str, AfterValidator(_replaced), known(BENCHMARKS, "benchmark")]


class BenchmarkSettings(Settings):
    """One set of questions and how it is asked; the file of the benchmark in `benchmarks/` has the defaults."""

    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"samples", "temperature", "top_p", "pass_at"})

    name: str = Field(pattern=SET_NAME, description="the set of questions, as collect.benchmarks names it")
    benchmark: BenchmarkName | None = Field(
        None,
        description="the benchmark whose prompt, protocol and metric the set is asked with; default: the one of its "
        "name, or else `checked`, for sets whose questions have a check",
    )
    prompt: str | None = Field(
        None,
        description="sets asked as `checked` or `ranked` only: what is asked, with {question} in it, such as "
        "`{question} Answer briefly.`; default: the question alone",
    )
    limit: int | None = Field(None, ge=1, description="most questions asked, evenly spaced in the set; default: all")
    few_shot: int | None = Field(
        None, ge=0, description="worked examples before each question; default: as the benchmark has it"
    )
    max_tokens: int | None = Field(
        None, ge=1, description="longest answer, in tokens; default: as the benchmark has it"
    )
    samples: int | None = Field(
        None, ge=1, description="answers to each question; default: as the benchmark has it, or else as the step"
    )
    temperature: float | None = Field(None, ge=0, le=2, description="of these answers; default: as for `samples`")
    top_p: float | None = Field(None, gt=0, le=1, description="of these answers; default: as for `samples`")
    pass_at: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None, description="report pass@k for these k; default: as for `samples`, without those above `samples`"
    )

    @property
    def definition(self) -> Benchmark:
        """The benchmark that the set is asked with, under the set's name and with its prompt."""
        kind = replace(BENCHMARKS[self.protocol], name=self.name)
        return kind if self.prompt is None else replace(kind, prompt=self._asked)

    @property
    def protocol(self) -> str:
        """The name of the benchmark that the set is asked with."""
        return self.benchmark or (self.name if self.name in BENCHMARKS else CHECKED)

    def _asked(self, question: Question) -> str:
        """The prompt with the question; other braces have no meaning."""
        assert self.prompt is not None
        return self.prompt.replace(QUESTION_PLACE, question.question)

    @model_validator(mode="after")
    def _prompt_fits(self) -> Self:
        if self.prompt is None:
            return self
        if not BENCHMARKS[self.protocol].takes_prompt:
            raise ValueError(f"the prompt of {self.protocol} is part of its protocol: leave `prompt` out")
        if self.prompt.count(QUESTION_PLACE) != 1:
            raise ValueError(f"prompt must contain {QUESTION_PLACE} exactly once")
        return self

    @model_validator(mode="after")
    def _length_has_effect(self) -> Self:
        if self.max_tokens is not None and self.definition.ranks:
            raise ValueError(f"{self.name} ranks given texts and generates nothing: leave max_tokens out")
        return self

    @model_validator(mode="after")
    def _has_worked_examples(self) -> Self:
        if self.few_shot and self.definition.shots is no_shots:
            raise ValueError(f"{self.name} has no worked examples: leave few_shot out, or set it to 0")
        return self


class EvaluationSettings(Settings):
    """What determines the evaluation of one model."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset(
        {"on_divergence", "allow_remote_code", "allow_pickled_weights"}
    )
    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"part", "validation_share"})

    benchmarks: tuple[BenchmarkSettings, ...] = Field(min_length=1, description="what is asked, in this order")
    generator: AnyBackendSettings = Field(
        TransformersSettings(model="", batch=128),
        description="the backend that runs the models, with its settings except `model`; or an endpoint (openai), "
        "evaluated in place of a model's files. It is in the cache key, without what only says where and how fast: "
        "arithmetic differs between backends, and with it now and then the likeliest token",
    )
    part: Part = Field(
        "all",
        description="which questions of each benchmark are asked: all, or one of two parts that a fixed hash of "
        "benchmark and question decides, so that what is chosen on the one is judged on the other; `limit` applies "
        "to the part",
    )
    validation_share: float = Field(
        0.5, ge=0.05, le=0.95, description="share of the questions in the part validation; the others are in test"
    )
    samples: int = Field(1, ge=1, description="answers to each question; several need a temperature above 0")
    temperature: float = Field(0.0, ge=0, le=2, description="0 is greedy: the likeliest token each time")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling: the smallest set with this probability")
    pass_at: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="report pass@k for these k, each at most `samples`: is one of k answers right?"
    )
    seed: int = Field(0, ge=0, description="seed of sampled answers; greedy answers need none")
    on_divergence: Literal["fail", "finish"] = Field(
        "fail",
        description="a model whose training diverged, or whose logits are infinite or NaN: fail ends the step with an "
        "error; finish completes the evaluation without scores, with diverged.json instead (a study tries rates that "
        "may be too large)",
    )
    allow_remote_code: bool = Field(False, description="run Python code that ships with a model (trust_remote_code)")
    allow_pickled_weights: bool = Field(
        False, description="load weights that are not safetensors; they can execute code"
    )
    sandbox: SandboxLimits = Field(SandboxLimits(), description="limits of model-written code that a benchmark runs")

    def asks(self, benchmark: str, question: str) -> bool:
        """Whether a question is in the part that is asked."""
        first = self.part == "validation"
        return self.part == "all" or is_in_first_part(benchmark, question, self.validation_share) == first

    def answers_of(self, benchmark: BenchmarkSettings) -> AnswersPerQuestion:
        """How often a set's questions are asked: as the set says, or else its benchmark, or else the step."""
        step = AnswersPerQuestion(self.samples, self.temperature, self.top_p, self.pass_at)
        usual = benchmark.definition.answers or step
        samples = usual.samples if benchmark.samples is None else benchmark.samples
        return AnswersPerQuestion(
            samples=samples,
            temperature=usual.temperature if benchmark.temperature is None else benchmark.temperature,
            top_p=usual.top_p if benchmark.top_p is None else benchmark.top_p,
            pass_at=tuple(k for k in usual.pass_at if k <= samples) if benchmark.pass_at is None else benchmark.pass_at,
        )

    @property
    def asks_endpoint(self) -> bool:
        """Whether an endpoint answers in place of a model's files."""
        return self.generator.is_remote

    @property
    def ranked(self) -> list[str]:
        """The names of the benchmarks that rank given texts."""
        return [benchmark.name for benchmark in self.benchmarks if benchmark.definition.ranks]

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, data: Any) -> Any:
        moved = sorted({"batch", "device", "precision"} & set(data)) if isinstance(data, dict) else []
        if moved:
            raise ValueError(f"{', '.join(moved)}: set it in `generator`, as in generator: {{{moved[0]}: …}}")
        return data

    @model_validator(mode="after")
    def _divides_for_a_part(self) -> Self:
        if self.part == "all" and self.validation_share != type(self).model_fields["validation_share"].default:
            raise ValueError("validation_share divides the questions: set part to validation or test, or leave it out")
        return self

    @model_validator(mode="after")
    def _can_sample(self) -> Self:
        _require_samples("", AnswersPerQuestion(self.samples, self.temperature, self.top_p, self.pass_at))
        for benchmark in self.benchmarks:
            _require_samples(f"{benchmark.name}: ", self.answers_of(benchmark))
        return self

    @model_validator(mode="after")
    def _can_rank(self) -> Self:
        if self.ranked and Ability.LOG_PROBABILITIES not in self.generator.abilities:
            able = [name for name, kind in BACKENDS.items() if Ability.LOG_PROBABILITIES in kind.abilities]
            raise ValueError(
                f"{', '.join(self.ranked)}: ranked by log-likelihoods of given texts, which backend "
                f"{self.generator.backend!r} does not compute; allowed: {', '.join(able)}"
            )
        return self

    @field_validator("benchmarks")
    @classmethod
    def _once(cls, benchmarks: tuple[BenchmarkSettings, ...]) -> tuple[BenchmarkSettings, ...]:
        names = [benchmark.name for benchmark in benchmarks]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(repeated)} more than once; name each set of questions once")
        return benchmarks


def _require_samples(where: str, answers: AnswersPerQuestion) -> None:
    """Refuse several greedy answers, and pass@k for more answers than there are. Raises ValueError."""
    if answers.samples > 1 and answers.temperature == 0:
        raise ValueError(f"{where}samples above 1 need a temperature above 0: greedy answers to one question are equal")
    if too_many := [k for k in answers.pass_at if k > answers.samples]:
        raise ValueError(
            f"{where}pass_at {too_many[0]} needs as many samples: set samples to at least {max(answers.pass_at)}"
        )
