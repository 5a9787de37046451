"""The evaluation of one model. It has an address of its own, so runs share it and a killed step resumes after it."""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from components.evaluate.ask import ask, rank, require_askable, score_answers
from components.evaluate.asking import Asking
from components.evaluate.evaluated_model import EvaluatedModel
from components.evaluate.kept_answers import KeptAnswers
from components.evaluate.questions import QuestionSet
from components.evaluate.score import score_samples
from components.evaluate.settings import BenchmarkSettings, EvaluationSettings
from components.evaluate.step import STEP
from components.shared.errors import NotFoundError
from components.shared.log import Progress, say
from components.shared.outputs.divergence import DIVERGED_FILE, Divergence
from components.shared.outputs.manifest import Cost, Manifest, Shard
from components.shared.outputs.output import Output
from components.shared.rows import AskedBenchmark, EvaluationFacts, Score
from components.shared.text.counted import counted

FACTS = "evaluation.json"
SCORES = "scores.json"
SAMPLES = "samples"


class BenchmarkResult(BaseModel):
    """What a model scored on one benchmark; stored, so that an evaluation that was killed resumes after it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: Shard
    scores: tuple[Score, ...]
    tokens_in: int
    tokens_out: int
    truncated_prompts: int
    control_text_prompts: int


class Evaluation:
    """Evaluates one model on all benchmarks. The model is loaded for the first question.

    Args:
        output: the address of the evaluation.
        settings: what is asked, and how.
        name: the name of the model, for the log.
        folder: the local folder of the model; None for one behind the endpoint that the settings name.
        questions: by benchmark.
    """

    def __init__(
        self,
        output: Output,
        settings: EvaluationSettings,
        name: str,
        folder: Path | None,
        questions: dict[str, QuestionSet],
    ) -> None:
        self._output, self._settings, self._name, self._folder = output, settings, name, folder
        self._questions = questions

    @cached_property
    def _model(self) -> EvaluatedModel:
        return EvaluatedModel.open(self._settings, self._name, self._folder)

    def run(self) -> Manifest:
        """Ask all questions, and write scores and samples. The caller holds the lease of the address.

        Raises:
            ModelError: the model cannot be loaded, lacks a chat template, or refuses a question.
            NotFiniteError: its logits are infinite or NaN.
            GenerationError: the endpoint cannot be reached, or failed to answer a question.
        """
        try:
            return self._run()
        finally:
            if "_model" in vars(self):
                self._model.close()

    def _run(self) -> Manifest:
        began = time.monotonic()
        done = {benchmark.name: self._answered(benchmark) for benchmark in self._settings.benchmarks}
        self._require_askable([benchmark for benchmark in self._settings.benchmarks if done[benchmark.name] is None])
        parts = [done[benchmark.name] or self._ask(benchmark) for benchmark in self._settings.benchmarks]
        self._output.write_json(FACTS, facts_of(self._settings, [part.scores[0].metric for part in parts]))
        self._output.write_json(SCORES, [score.model_dump() for part in parts for score in part.scores])
        cost = Cost(
            seconds=round(time.monotonic() - began, 3),
            tokens_in=sum(part.tokens_in for part in parts),
            tokens_out=sum(part.tokens_out for part in parts),
        )
        return self._output.finish(_counts(parts), cost)

    def _require_askable(self, benchmarks: Sequence[BenchmarkSettings]) -> None:
        """Check that the chat template accepts the questions, before any is asked. Raises ModelError."""
        for benchmark in benchmarks:
            require_askable(self._model, self._asking(benchmark))

    def _asking(self, benchmark: BenchmarkSettings) -> Asking:
        return Asking(benchmark, self._settings, self._questions[benchmark.name])

    def _answered(self, benchmark: BenchmarkSettings) -> BenchmarkResult | None:
        """The result of an earlier attempt at this benchmark, if there is one."""
        try:
            data = self._output.store.read(_name_of(benchmark))
        except NotFoundError:
            return None
        part = BenchmarkResult.model_validate_json(data)
        self._output.write_bytes(_name_of(benchmark), data)
        self._output.adopt(part.samples)
        return part

    def _ask(self, benchmark: BenchmarkSettings) -> BenchmarkResult:
        asking, kept = self._asking(benchmark), KeptAnswers(self._output.store, benchmark.name)
        before = self._model.unusual_prompts()
        unit = "questions" if asking.per_question.samples == 1 else "answers"
        progress = Progress(STEP.name, f"{self._name} on {benchmark.name}", asking.answers, unit)
        ranks = asking.kind.ranks
        answers = rank(self._model, asking, progress) if ranks else ask(self._model, asking, kept, progress)
        progress.finish()
        unusual = {name: count - before[name] for name, count in self._model.unusual_prompts().items()}
        self._remark(benchmark.name, unusual)
        samples = score_answers(asking, answers.by_key)
        part = BenchmarkResult(
            samples=self._output.write_rows(f"{SAMPLES}/{benchmark.name}/00000", samples),
            scores=tuple(
                score_samples(
                    asking.kind, asking.questions.asked, samples, asking.per_question.pass_at, self._settings.sandbox
                )
            ),
            **answers.tokens(),
            **unusual,
        )
        self._output.write_json(_name_of(benchmark), part)
        kept.delete()
        return part

    def _remark(self, benchmark: str, unusual: Mapping[str, int]) -> None:
        """Log how many prompts were truncated or contain control tokens."""
        remarks = {
            "exceeded the context: truncated on the left": unusual["truncated_prompts"],
            "spelt a control token: encoded as text": unusual["control_text_prompts"],
        }
        for what, count in remarks.items():
            if count:
                say(STEP.name, f"{self._name} on {benchmark}: {counted(count, 'prompt')} {what}")


def finish_without_scores(output: Output, settings: EvaluationSettings, divergence: Divergence) -> Manifest:
    """Complete the evaluation of a training that diverged: which part has no scores, and why."""
    # Benchmarks that were asked before the fault was found are no part of it.
    output.shards.clear()
    output.write_json(FACTS, EvaluationFacts(benchmarks=(), part=settings.part))
    output.write_json(DIVERGED_FILE, divergence)
    return output.finish({"questions": 0, "diverged": 1})


def facts_of(settings: EvaluationSettings, metrics: Sequence[str]) -> EvaluationFacts:
    """What later steps need to know about an evaluation besides its scores; `metrics` are those of its benchmarks."""
    pairs = zip(settings.benchmarks, metrics, strict=True)
    return EvaluationFacts(
        benchmarks=tuple(_asked(benchmark, settings, metric) for benchmark, metric in pairs),
        endpoint=settings.asks_endpoint,
        part=settings.part,
    )


def _asked(benchmark: BenchmarkSettings, settings: EvaluationSettings, metric: str) -> AskedBenchmark:
    kind, answers = benchmark.definition, settings.answers_of(benchmark)
    return AskedBenchmark(
        name=kind.name,
        metric=metric,
        protocol=kind.protocol,
        few_shot=kind.few_shot if benchmark.few_shot is None else benchmark.few_shot,
        max_tokens=benchmark.max_tokens or kind.max_tokens,
        prompt=benchmark.prompt,
        samples=answers.samples,
        temperature=answers.temperature,
        top_p=answers.top_p,
        pass_at=answers.pass_at,
    )


def _name_of(benchmark: BenchmarkSettings) -> str:
    return f"benchmarks/{benchmark.name}.json"


def _counts(parts: list[BenchmarkResult]) -> dict[str, float]:
    """The score on each benchmark, and the numbers of questions and of unusual prompts."""
    scores = {part.scores[0].benchmark.replace("-", "_"): part.scores[0].value for part in parts}
    return {
        **scores,
        "questions": sum(part.samples.rows for part in parts),
        "truncated_prompts": sum(part.truncated_prompts for part in parts),
        "control_text_prompts": sum(part.control_text_prompts for part in parts),
    }
