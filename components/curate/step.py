"""The declaration of the step curate."""

from collections.abc import Iterator, Mapping

from components.curate.labels.label import LABELS
from components.curate.settings import CurateSettings
from components.models.generators.examine import image_for, look_at, models_in
from components.shared.finding import Look
from components.shared.rows import Instruction, Labelled, Question
from components.shared.step import Product, Step

CURATED = Product("curate", 5, Labelled.content)
CHOSEN = Product("curate-preview", 2, Instruction.content)


def _examine(settings: CurateSettings, where: str, _inputs: Mapping[str, str]) -> Iterator[Look]:
    """The model that gives labels; one that is named and not used need not be there."""
    if (labeller := settings.model_asked) is not None:
        yield look_at(f"{where}.teacher", *labeller)


STEP = Step(
    name="curate",
    does="drop near-duplicates and overlaps with the evaluation sets; label and balance",
    settings=CurateSettings,
    inputs={"instructions": Instruction.content, "benchmarks": Question.content},
    outputs={"dataset": CURATED},
    external_inputs=models_in,
    examine=_examine,
    image_needed=lambda settings: image_for([settings.model_asked[0]] if settings.model_asked else []),
    parts=(LABELS, CHOSEN),
)
