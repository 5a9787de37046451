"""The document of a choice: which learning rate won, by which scores, and its model for each seed."""

from pydantic import BaseModel, ConfigDict, Field


class TriedRate(BaseModel):
    """One learning rate: its scores on the part validation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float = Field(description="the learning rate")
    mean: float = Field(description="mean over the seeds of the score on the benchmark, in [0, 1]")
    by_seed: dict[str, float] = Field(description="the score of each seed's model")


class RateChoice(BaseModel):
    """A chosen learning rate; content `choice/1`, file `choice.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: str = Field(description="the benchmark that decided")
    metric: str = Field(description="its metric")
    rate: float = Field(description="the rate with the highest mean; of equal ones the smallest")
    tried: tuple[TriedRate, ...] = Field(description="all rates, in ascending order: the curve of the sweep")
    models: dict[str, str] = Field(description="the address of the chosen rate's model, by seed")
    at_edge: bool = Field(
        description="the chosen rate is the smallest or the largest one tried, so a better one may lie outside"
    )
