"""One task of a run, and a fault in a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.launch.job import Launch
from components.shared.settings import Settings
from components.shared.step import ExternalInput, Image, Location, Step


@dataclass(frozen=True)
class Fault:
    """What is wrong, and where in the recipe."""

    location: Location
    text: str


@dataclass(frozen=True)
class Task:
    """One task of a run: a step with its settings.

    Attributes:
        name: as status, logs and labels show it: `train-sft`.
        step: what it runs.
        settings: the step's; None for a step that has none.
        location: where in the recipe the settings are.
        inputs: the inputs whose value is known before the run, by name. In place of a model that the run makes, the
            model that it is trained from.
    """

    name: str
    step: Step
    settings: Settings | None = None
    location: Location = ()
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def launch(self) -> Launch | None:
        """How its job runs; None for a task without a job."""
        return getattr(self.settings, "launch", None) if self.step.program else None

    @property
    def starts_on_cluster(self) -> bool:
        """Whether it starts a job on a cluster."""
        return self.launch is not None and self.launch.on_cluster

    @property
    def image_needed(self) -> Image | None:
        """The image, of those that ship, that its settings need in place of the step's; None: the step's will do."""
        return self.step.image_needed(self.settings) if self.settings is not None else None

    @property
    def image_needed_by_pod(self) -> Image | None:
        """The same for the task's own pod: one that starts a job on a cluster and follows it asks no backend."""
        return None if self.starts_on_cluster else self.image_needed

    @property
    def external_inputs(self) -> list[ExternalInput]:
        """The files and the models that its settings name, each with its location in the recipe."""
        return [
            ExternalInput((*self.location, *named.location), named.uri, named.is_model)
            for named in self.step.external_inputs(self.settings)
        ]


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as plain values without defaults, so that compiled pipelines stay short.

    Constants of a pipeline cannot be null; reading a recipe rejects a null that replaces another default.
    """
    return settings.model_dump(mode="json", exclude_unset=True, exclude_none=True)
