"""One evaluated model, as the steps that compare models read it from the store."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from components.shared.errors import InputError
from components.shared.outputs.divergence import has_diverged
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.parse_json import parse_json
from components.shared.rows import EVALUATION, EvaluationFacts, Sample, Score

FACTS = "evaluation.json"
SCORES = "scores.json"
SAMPLES = "samples"
MODEL = "model"
"""The input of an evaluation that is the model."""


Read = TypeVar("Read")


@dataclass(frozen=True)
class ComparedModel:
    """A model under the name that a comparison gives it. Files are read when they are first needed.

    Attributes:
        library: the store of the evaluation.
        name: the model's name in the comparison.
        manifest: of the evaluation.
    """

    library: Library
    name: str
    manifest: Manifest

    @property
    def model(self) -> Parent:
        """The model's address or reference, and the digest of its content."""
        return self.manifest.parents[MODEL]

    @cached_property
    def facts(self) -> EvaluationFacts:
        """What was asked. Raises DamagedError."""
        return self._read(FACTS, EvaluationFacts)

    @cached_property
    def scores(self) -> list[Score]:
        """The scores on benchmarks, without those of their subjects. Raises DamagedError."""
        return [score for score in self._read(SCORES, list[Score]) if "/" not in score.benchmark]

    def answers(self, benchmark: str) -> list[tuple[str, float]]:
        """The id and score of each question of a benchmark, without the text of the answers. Raises DamagedError."""
        if benchmark not in self._answers:
            rows = self.library.read_rows(self.manifest, Sample, f"{SAMPLES}/{benchmark}")
            self._answers[benchmark] = [(sample.id, sample.score) for sample in rows]
        return self._answers[benchmark]

    @cached_property
    def _answers(self) -> dict[str, list[tuple[str, float]]]:
        return {}

    def _read(self, file: str, kind: type[Read]) -> Read:
        where = f"{self.manifest.address}/{file}"
        return parse_json(self.library.read_bytes(self.manifest, file), kind, where, "run the evaluation again")


def require_evaluation(name: str, manifest: Manifest, *, may_have_diverged: bool = False) -> None:
    """Check that an input is the evaluation of a model, by this version. Raises InputError.

    Args:
        name: of the model in messages.
        manifest: of the input.
        may_have_diverged: whether a training that diverged, and so was not asked, passes too.
    """
    if manifest.content != EVALUATION:
        raise InputError(
            f"{name}: {manifest.address} holds {manifest.content}",
            rule="evaluations of models are compared",
            allowed=[EVALUATION],
            remedy="pass the outputs of the evaluate step",
        )
    if all(shard.name != FACTS for shard in manifest.shards):
        raise InputError(
            f"{name}: {manifest.address} lacks {FACTS}",
            rule="an evaluation says what was asked; those of earlier versions of Tutelage do not",
            remedy="run the evaluation again with this version",
        )
    if has_diverged(manifest) and not may_have_diverged:
        raise InputError(
            f"{name}: {manifest.address} has no scores, since the training at {manifest.parents[MODEL].address} "
            "diverged",
            rule="models are compared, and that training has none",
            remedy="leave it out, or lower its learning rate",
        )


def require_same_questions(ours: ComparedModel, base: ComparedModel) -> None:
    """Check that two models were asked the same questions in the same way. Raises InputError."""
    asked = {benchmark.name: benchmark for benchmark in ours.facts.benchmarks}
    for benchmark in base.facts.benchmarks:
        alike = asked.pop(benchmark.name, None) == benchmark
        if not alike or _ids(ours, benchmark.name) != _ids(base, benchmark.name):
            raise _asked_otherwise(ours, base, benchmark.name)
    if asked:
        raise _asked_otherwise(ours, base, next(iter(asked)))


def _asked_otherwise(ours: ComparedModel, base: ComparedModel, benchmark: str) -> InputError:
    return InputError(
        f"{ours.name} ({ours.manifest.address}) and {base.name} ({base.manifest.address}) were asked other questions "
        f"of {benchmark}, or in another way",
        rule="models are compared on the same questions, asked with the same protocol, length and sampling",
        remedy="evaluate all models on the same benchmarks with the same settings",
    )


def _ids(model: ComparedModel, benchmark: str) -> list[str]:
    return [question for question, _ in model.answers(benchmark)]
