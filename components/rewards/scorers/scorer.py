"""The base of every scorer: settings that say what is measured, and how the measure is opened."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from components.models.generators.generator import GeneratorSettings, Sampling
from components.rewards.measured import Measured
from components.shared.outputs.manifest import Parent
from components.shared.rows import Answered
from components.shared.settings import Settings


class Measure(Protocol):
    """Measures the responses of rows; keeps models, processes or connections open until it is closed."""

    def measure(self, rows: Sequence[Answered]) -> list[Measured]:
        """One measurement for each row, in the order of the rows."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class Scorer(Settings):
    """The settings of a scorer. Each scorer is a subclass in a separate file, listed in the registry.

    A measurement is made only once: scorers with an equal `measurement` share its shards.
    """

    gives_likelihood: ClassVar[bool] = False
    """Whether `values` are mean log-probabilities and `tokens` their counts."""

    def measurement(self, parents: Mapping[str, Parent]) -> str:
        """The name of the measurement, a folder in `scores/`; empty when there is nothing to measure."""
        raise NotImplementedError

    def parents(self) -> dict[str, Parent]:
        """Models and files that are inputs of the step, by name. Raises ModelError when one is missing."""
        return {}

    @property
    def model_asked(self) -> tuple[GeneratorSettings, Sampling] | None:
        """The generator that is prompted for scores, and its sampling; None for scorers without one."""
        return None

    def open(self) -> Measure:
        """Load or connect to what measures; called only when a measurement is missing."""
        raise NotImplementedError

    def value(self, measured: float | None) -> float | None:
        """The score of one measured value."""
        return measured
