"""The declaration of the step select."""

from collections.abc import Iterator, Mapping

from components.models.generators.examine import image_for, look_at, models_in
from components.select.settings import SelectSettings
from components.shared.finding import Look
from components.shared.rows import Answered
from components.shared.step import Image, Product, Step

SELECTION = Product("select", 6, "selection/1")


def _examine(settings: SelectSettings, where: str, _inputs: Mapping[str, str]) -> Iterator[Look]:
    """The models that are asked for scores."""
    for score, scorer in settings.scorers.items():
        if (judge := scorer.model_asked) is not None:
            yield look_at(f"{where}.{score}.teacher", *judge)


def _image_needed(settings: SelectSettings) -> Image | None:
    judges = [scorer.model_asked for scorer in settings.scorers.values()]
    return image_for(judge[0] for judge in judges if judge is not None)


STEP = Step(
    name="select",
    does="score and check the responses, and choose those to train on",
    settings=SelectSettings,
    inputs={"responses": Answered.content},
    external_inputs=models_in,
    examine=_examine,
    image_needed=_image_needed,
    outputs={"dataset": SELECTION},
)
