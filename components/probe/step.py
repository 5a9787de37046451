"""The declaration of the step probe."""

from collections.abc import Iterator, Mapping

from components.models.generators.examine import image_for, look_at
from components.probe.settings import ProbeSettings
from components.shared.finding import Look
from components.shared.rollout_rows import Probed
from components.shared.rows import Labelled
from components.shared.step import MODEL, Image, Product, Step

PROBED = Product("probe", 1, Probed.content)
ROLLOUTS = Product("rollouts", 1, "rollout/1")
"""Kept rollouts, for all probes of one model with one sampling; the manifest lists those that there are by now."""


def _examine(settings: ProbeSettings, where: str, _inputs: Mapping[str, str]) -> Iterator[Look]:
    """The endpoint that answers in place of a model's files."""
    if settings.asks_endpoint:
        yield look_at(f"{where}.generator", settings.generator, settings.sampling)


STEP = Step(
    name="probe",
    does="estimate a model's pass rate on each problem from checked rollouts, in a Ray job",
    settings=ProbeSettings,
    inputs={"problems": Labelled.content, "model": MODEL},
    examine=_examine,
    outputs={"probed": PROBED},
    parts=(ROLLOUTS,),
    image=Image.RAY,
    image_needed=lambda settings: image_for([settings.generator]),
    program="ray",
)
