"""One model's evaluation, at an address of its own, so that runs share it and a killed step goes on with the next."""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.questions import QuestionSet
from components.evaluate.score import score_samples
from components.evaluate.settings import BenchmarkSettings, EvaluationSettings
from components.shared.errors import NotFoundError
from components.shared.log import Progress, say
from components.shared.manifest import Cost, Manifest, Shard
from components.shared.output import Output
from components.shared.rows import Score

if TYPE_CHECKING:
    from components.evaluate.language_model import LocalModel

STEP = "evaluate"
VERSION = 2
CONTENT = "evaluation/1"
SCORES = "scores.json"
SAMPLES = "samples"


class Answered(BaseModel):
    """One benchmark that a model has answered; kept, so that an evaluation that was killed goes on behind it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: Shard
    scores: tuple[Score, ...]
    tokens_in: int
    tokens_out: int
    truncated_prompts: int
    control_text_prompts: int


class Evaluation:
    """Asks one model all benchmarks. The model is loaded when the first question is asked.

    Args:
        output: the evaluation's address.
        settings: what is asked, and how.
        name: the model's name, for the log.
        folder: the model on this machine.
        questions: by benchmark.
    """

    def __init__(
        self, output: Output, settings: EvaluationSettings, name: str, folder: Path, questions: dict[str, QuestionSet]
    ) -> None:
        self._output, self._settings, self._name, self._folder = output, settings, name, folder
        self._questions = questions

    @cached_property
    def _model(self) -> "LocalModel":
        from components.evaluate.language_model import load_model

        return load_model(self._folder, self._name, self._settings)

    def run(self) -> Manifest:
        """Ask everything, and write scores and samples.

        Raises:
            ModelError: the model cannot be loaded, or has no chat template.
            LeaseError: another process writes this evaluation.
        """
        began = time.monotonic()
        with self._output.writing():
            done = {benchmark.name: self._answered(benchmark) for benchmark in self._settings.benchmarks}
            self._require_askable(
                [benchmark for benchmark in self._settings.benchmarks if done[benchmark.name] is None]
            )
            parts = [done[benchmark.name] or self._ask(benchmark) for benchmark in self._settings.benchmarks]
            self._output.write_json(SCORES, [score.model_dump() for part in parts for score in part.scores])
            cost = Cost(
                seconds=round(time.monotonic() - began, 3),
                tokens_in=sum(part.tokens_in for part in parts),
                tokens_out=sum(part.tokens_out for part in parts),
            )
            return self._output.finish(CONTENT, _counts(parts), cost)

    def _require_askable(self, benchmarks: Sequence[BenchmarkSettings]) -> None:
        """See that the chat template takes what is to be asked, before anything is. Raises ModelError."""
        for benchmark in benchmarks:
            from components.evaluate.harness import require_askable

            require_askable(self._model, BENCHMARKS[benchmark.name], benchmark, self._questions[benchmark.name])

    def _answered(self, benchmark: BenchmarkSettings) -> Answered | None:
        """What an earlier attempt left of this benchmark."""
        try:
            data = self._output.store.read(_name_of(benchmark))
        except NotFoundError:
            return None
        part = Answered.model_validate_json(data)
        self._output.write_bytes(_name_of(benchmark), data)
        self._output.adopt(part.samples)
        return part

    def _ask(self, benchmark: BenchmarkSettings) -> Answered:
        from components.evaluate.harness import ask

        model, questions, kind = self._model, self._questions[benchmark.name], BENCHMARKS[benchmark.name]
        before = _counted(model)
        model.progress = Progress(STEP, f"{self._name} on {benchmark.name}", len(questions.asked), "questions")
        samples = ask(model, kind, benchmark, questions, self._settings.sandbox)
        model.progress.finish()
        counted = {name: count - before[name] for name, count in _counted(model).items()}
        self._remark(benchmark.name, counted)
        part = Answered(
            samples=self._output.write_rows(f"{SAMPLES}/{benchmark.name}/00000", samples),
            scores=tuple(score_samples(kind, questions.asked, samples)),
            **counted,
        )
        self._output.write_json(_name_of(benchmark), part)
        return part

    def _remark(self, benchmark: str, counted: Mapping[str, int]) -> None:
        """Say what was done to prompts."""
        said = {
            "were too long and lost their beginning": counted["truncated_prompts"],
            "spell a control token in their text; it was encoded as text": counted["control_text_prompts"],
        }
        for what, count in said.items():
            if count:
                say(STEP, f"{self._name} on {benchmark}: {count} prompts {what}")


def _counted(model: "LocalModel") -> dict[str, int]:
    """What the model has read and written until now."""
    return {
        "tokens_in": model.tokens_in,
        "tokens_out": model.tokens_out,
        "truncated_prompts": model.truncated_prompts,
        "control_text_prompts": model.control_text_prompts,
    }


def _name_of(benchmark: BenchmarkSettings) -> str:
    return f"benchmarks/{benchmark.name}.json"


def _counts(parts: list[Answered]) -> dict[str, float]:
    return {
        "questions": sum(part.samples.rows for part in parts),
        "truncated_prompts": sum(part.truncated_prompts for part in parts),
        "control_text_prompts": sum(part.control_text_prompts for part in parts),
    }
