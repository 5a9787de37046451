"""What the made-up step declares of itself."""

from collections.abc import Iterator, Mapping

from components.shared.finding import Look
from components.shared.step import ExternalInput, Image, Product, Step
from tests.unit.registries.made_up.shout.settings import ShoutSettings

SHOUTED = Product("shout", 1, "shout/1")


def _external_inputs(settings: ShoutSettings) -> Iterator[ExternalInput]:
    if settings.file:
        yield ExternalInput(("file",), settings.file)


def _examine(settings: ShoutSettings, where: str, _inputs: Mapping[str, str]) -> Iterator[Look]:
    yield Look(f"{where}.voice", settings.text, lambda: "loud enough", key="voice")


def _embed(settings: ShoutSettings) -> ShoutSettings:
    return settings.model_copy(update={"text": settings.text.replace("@", " at ")})


STEP = Step(
    name="shout",
    does="shout a text",
    settings=ShoutSettings,
    outputs={"shouted": SHOUTED},
    image=Image.RAY,
    program="ray",
    external_inputs=_external_inputs,
    embed=_embed,
    examine=_examine,
    component="tests.unit.registries.made_up.shout.component:shout",
)
