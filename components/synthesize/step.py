"""The declaration of the step synthesize."""

from collections.abc import Iterator, Mapping

from components.models.generators.examine import image_for, look_at, models_in
from components.shared.finding import Look
from components.shared.rows import Answered, Labelled
from components.shared.step import Image, Product, Step
from components.synthesize.settings import SynthesizeSettings

ANSWERED = Product("synthesize", 4, Answered.content)


def _examine(settings: SynthesizeSettings, where: str, _inputs: Mapping[str, str]) -> Iterator[Look]:
    """The models that answer."""
    for origin in settings.asked:
        yield look_at(f"{where}.{origin}", settings.model_of(origin), settings.sampling_of(origin))


STEP = Step(
    name="synthesize",
    does="generate the teacher's and the student's responses to each instruction, in a Ray job",
    settings=SynthesizeSettings,
    inputs={"dataset": Labelled.content},
    external_inputs=models_in,
    examine=_examine,
    outputs={"responses": ANSWERED},
    image=Image.RAY,
    image_needed=lambda settings: image_for(settings.model_of(origin) for origin in settings.asked),
    program="ray",
)
