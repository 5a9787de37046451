"""The document of a choice: which learning rate won, by which scores, and its model for each seed."""

from pydantic import BaseModel, ConfigDict, Field


class TriedRate(BaseModel):
    """One learning rate: its scores on the part validation.

    A rate whose training diverged with any seed is out: the other seeds' mean could not be compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float = Field(description="the learning rate")
    mean: float | None = Field(
        description="mean over the seeds of the score on the benchmark, in [0, 1]; null where one of them diverged"
    )
    by_seed: dict[str, float] = Field(description="the score of each seed's model, but for those that diverged")
    diverged: tuple[int, ...] = Field((), description="seeds whose training diverged: there is no model")


class RateChoice(BaseModel):
    """A chosen learning rate; content `choice/1`, file `choice.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: str = Field(description="the benchmark that decided")
    metric: str = Field(description="its metric")
    rate: float = Field(
        description="the rate with the highest mean, of those without divergence; of equal ones the smallest"
    )
    tried: tuple[TriedRate, ...] = Field(description="all rates, in ascending order: the curve of the sweep")
    models: dict[str, str] = Field(description="the address of the chosen rate's model, by seed")
    at_edge: bool = Field(
        description="the chosen rate is the smallest or the largest one tried, so a better one may lie outside"
    )
