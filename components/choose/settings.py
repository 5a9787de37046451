"""The settings of the choice of a learning rate."""

from typing import Self

from pydantic import Field, model_validator

from components.shared.settings import Settings


class ChooseSettings(Settings):
    """What a learning rate is chosen by, among which."""

    benchmark: str = Field(description="the benchmark whose mean score over the seeds decides, on the part validation")
    rates: tuple[float, ...] = Field(min_length=1, description="the learning rates that were tried")
    seeds: tuple[int, ...] = Field(min_length=1, description="the seeds that each was tried with")

    @property
    def sweep(self) -> dict[str, tuple[float, int]]:
        """The evaluations that a choice needs, as `RATE/SEED`, with rate and seed."""
        return {key_of(rate, seed): (rate, seed) for rate in self.rates for seed in self.seeds}

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(self.sweep) != len(self.rates) * len(self.seeds):
            listed = ", ".join([*(f"{rate:g}" for rate in self.rates), *map(str, self.seeds)])
            raise ValueError(f"rates and seeds {listed}: list each once; rates differ within six digits")
        return self


def key_of(rate: float, seed: int) -> str:
    """The name of the evaluation of one model, such as `0.001/3`."""
    return f"{rate:g}/{seed}"
