"""The declaration of the step critique."""

from collections.abc import Iterator, Mapping

from components.critique.settings import CritiqueSettings
from components.models.generators.examine import image_for, look_at, models_in
from components.shared.finding import Look
from components.shared.rollout_rows import Probed
from components.shared.rows import SELECTION
from components.shared.step import Image, Product, Step

CRITIQUED = Product("critique", 1, SELECTION)
DIAGNOSES = Product("teacher-diagnoses", 1, "rollout/1")
"""Kept diagnoses of one teacher with one sampling, for all students; the manifest lists those there are by now."""
REPAIRS = Product("teacher-repairs", 1, "rollout/1")
"""Kept continuations of the same kind."""


def _examine(settings: CritiqueSettings, where: str, _inputs: Mapping[str, str]) -> Iterator[Look]:
    """The teacher."""
    yield look_at(f"{where}.teacher", settings.teacher, settings.diagnosis_sampling)


STEP = Step(
    name="critique",
    does="find the first wrong step in failed rollouts and correct them by the teacher, in a Ray job",
    settings=CritiqueSettings,
    inputs={"probed": Probed.content, "bridged": SELECTION},
    external_inputs=models_in,
    examine=_examine,
    outputs={"critiqued": CRITIQUED},
    parts=(DIAGNOSES, REPAIRS),
    image=Image.RAY,
    image_needed=lambda settings: image_for([settings.teacher]),
    program="ray",
)
