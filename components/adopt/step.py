"""The declaration of the step adopt. It has no output of its own: it hands on those that it finds."""

from collections.abc import Iterator, Mapping

from components.adopt.settings import AdoptSettings
from components.shared.finding import Look
from components.shared.step import Step


def _examine(settings: AdoptSettings, where: str, inputs: Mapping[str, str]) -> Iterator[Look]:
    """Whether a selection that is named in the recipe is there, and has what is needed."""

    def look() -> str:
        from components.adopt.adopt import find_selection
        from components.shared.outputs.library import Library

        return find_selection(Library(inputs["root"]), settings, inputs["selection"]).benchmarks.address

    if "selection" in inputs:
        yield Look(where, inputs["selection"], look)


STEP = Step(
    name="adopt",
    does="take a selection that is there as the data, with the questions that its rows were cleared of",
    settings=AdoptSettings,
    inputs={"selection": "selection/1"},
    examine=_examine,
)
