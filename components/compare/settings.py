"""The settings of the comparison of evaluated models."""

from typing import Literal

from pydantic import Field

from components.shared.settings import Settings

BASE = "base"
"""The name of the model that the others are compared with."""


class CompareSettings(Settings):
    """What determines the comparison of all models with the base."""

    correction: Literal["holm", "none"] = Field(
        "holm", description="correction of p-values for the number of models compared on a benchmark (Holm 1979)"
    )
    selection_share: float = Field(
        0.5,
        ge=0.05,
        le=0.95,
        description="share of each benchmark's questions on which the best model is chosen, by a fixed hash of "
        "benchmark and question; it is judged on the others, since the score that selects it is biased upwards",
    )
    resamples: int = Field(
        10_000, ge=100, description="permutations drawn for a p-value, for benchmarks with fractional scores"
    )
    seed: int = Field(0, ge=0, description="seed of the permutations")
