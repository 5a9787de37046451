"""The declaration of the step bridge."""

from collections.abc import Iterator, Mapping

from components.bridge.settings import BridgeSettings
from components.models.generators.examine import image_for, look_at, models_in
from components.shared.finding import Look
from components.shared.rollout_rows import Probed, Routed
from components.shared.rows import SELECTION
from components.shared.step import MODEL, Image, Product, Step

BRIDGED = Product("bridge", 1, SELECTION)
TRACES = Product("teacher-traces", 1, "rollout/1")
"""Kept traces of one teacher with one sampling, for all students; the manifest lists those that there are by now."""
REWRITINGS = Product("teacher-rewritings", 1, "rollout/1")
"""Kept rewritings of the same kind."""


def _examine(settings: BridgeSettings, where: str, _inputs: Mapping[str, str]) -> Iterator[Look]:
    """The teacher."""
    yield look_at(f"{where}.teacher", settings.teacher, settings.rewrite_sampling)


def _image_needed(settings: BridgeSettings) -> Image | None:
    return image_for([settings.teacher, *([settings.prefix.generator] if settings.prefix else [])])


STEP = Step(
    name="bridge",
    does="rewrite the teacher's correct traces for the student, and keep what suits it best, in a Ray job",
    settings=BridgeSettings,
    inputs={"routed": Routed.content, "probed": Probed.content, "student": MODEL},
    external_inputs=models_in,
    examine=_examine,
    outputs={"bridged": BRIDGED},
    parts=(TRACES, REWRITINGS),
    image=Image.RAY,
    image_needed=_image_needed,
    program="ray",
)
