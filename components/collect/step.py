"""The declaration of the step collect."""

from collections.abc import Iterator

from components.collect.settings import CollectSettings
from components.shared.rows import Instruction, Question
from components.shared.step import ExternalInput, Product, Step

INSTRUCTIONS = Product("collect", 5, Instruction.content)
QUESTIONS = Product("collect", 5, Question.content)


def _external_inputs(settings: CollectSettings) -> Iterator[ExternalInput]:
    """The original files of all sources."""
    for part in ("sources", "benchmarks"):
        for number, source in enumerate(getattr(settings, part)):
            yield ExternalInput((part, number, "uri"), source.uri)


STEP = Step(
    name="collect",
    does="read instructions and evaluation questions, and normalise their formats",
    settings=CollectSettings,
    external_inputs=_external_inputs,
    outputs={"dataset": INSTRUCTIONS, "benchmarks": QUESTIONS},
)
