"""The settings of adopt: what a selection must hold to be the data of a study."""

from pydantic import Field

from components.shared.settings import Settings


class AdoptSettings(Settings):
    """What is needed of a selection and of the questions of its run."""

    parts: dict[str, tuple[str, ...]] = Field(
        min_length=1,
        description="parts of a selection, such as pairs, with the methods that read each: it must hold rows then",
    )
    benchmarks: tuple[str, ...] = Field(min_length=1, description="benchmarks whose questions must be there")
