"""The face of every scorer: settings that say what is measured, and can open what measures it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Protocol

from components.models.teacher import Sampling, TeacherSettings
from components.select.measured import Measured
from components.shared.manifest import Parent
from components.shared.rows import Answered
from components.shared.settings import Settings

DECIMALS = 6
"""Measurements are rounded, so that the order of floating-point sums in a batch shows less."""


class Measure(Protocol):
    """Measures the responses of rows; holds models, processes or connections until it is closed."""

    def measure(self, rows: Sequence[Answered]) -> list[Measured]:
        """One for each row, in their order."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Scorer(Settings):
    """What to score with. Each scorer is a subclass in a file of its own, and a line in the registry.

    A measurement is made once even where several scorers use it: those with an equal `measurement` share its shards.
    """

    gives_likelihood: ClassVar[bool] = False
    """Whether `values` are mean log-probabilities and `tokens` their counts."""

    def measurement(self, parents: Mapping[str, Parent]) -> str:
        """The measurement's name, a folder below `scores/`; empty when nothing is to be measured."""
        raise NotImplementedError

    def parents(self) -> dict[str, Parent]:
        """Models and files that are inputs of the step, by name. Raises ModelError when one is not there."""
        return {}

    @property
    def model_asked(self) -> tuple[TeacherSettings, Sampling] | None:
        """The model that is asked for scores in words, and how; None for scorers that ask none."""
        return None

    def open(self) -> Measure:
        """Load or connect to what measures; called only when something is missing."""
        raise NotImplementedError

    def value(self, measured: float | None) -> float | None:
        """The score of one measured value."""
        return measured


@contextmanager
def opened(scorer: Scorer) -> Iterator[Measure]:
    """The scorer's measure, closed at the end."""
    measure = scorer.open()
    try:
        yield measure
    finally:
        measure.close()


def rounded(value: float) -> float:
    """The value as it is kept."""
    return round(value, DECIMALS)


def is_scored(text: str, finish: str) -> bool:
    """Whether a response is one: it has text, and is no report of a failed request."""
    return finish != "error" and bool(text.strip())
