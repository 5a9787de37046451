"""The declaration of the step evaluate."""

from collections.abc import Iterator, Mapping

from components.evaluate.settings import EvaluationSettings
from components.models.generators.examine import image_for, look_at
from components.models.generators.generator import Sampling
from components.shared.finding import Look
from components.shared.rows import EVALUATION as CONTENT
from components.shared.rows import EvaluationFacts, Question
from components.shared.step import MODEL, Product, Step

EVALUATION = Product("evaluate", 6, CONTENT)


def _examine(settings: EvaluationSettings, where: str, _inputs: Mapping[str, str]) -> Iterator[Look]:
    """The endpoint that answers in place of a model's files."""
    if settings.asks_endpoint:
        longest = max(each.max_tokens or each.definition.max_tokens for each in settings.benchmarks)
        yield look_at(where, settings.generator, Sampling(max_tokens=longest))


STEP = Step(
    name="evaluate",
    does="ask one model the questions of the benchmarks, and score its answers",
    settings=EvaluationSettings,
    inputs={"benchmarks": Question.content, "model": MODEL},
    outputs={"evaluation": EVALUATION},
    image_needed=lambda settings: image_for([settings.generator]),
    documents={EVALUATION.content: EvaluationFacts},
    examine=_examine,
)
