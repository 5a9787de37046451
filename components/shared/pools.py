"""The three pools of problems by their pass rate, which the probe decides by and route sorts into."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.shared.settings import Settings

Pool = Literal["hard", "mixed", "easy"]
POOLS: tuple[Pool, ...] = ("hard", "mixed", "easy")


class PoolThresholds(Settings):
    """Where the pools end; the defaults are "all fail", "mixed" and "all pass"."""

    hard_at_most: float = Field(0.0, ge=0, lt=1, description="largest pass rate of a hard problem, 0 to 1")
    easy_at_least: float = Field(1.0, gt=0, le=1, description="smallest pass rate of an easy problem, 0 to 1")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.hard_at_most >= self.easy_at_least:
            raise ValueError(f"hard_at_most {self.hard_at_most:g} must be below easy_at_least {self.easy_at_least:g}")
        return self

    def pool_at(self, pass_rate: float) -> Pool:
        """The pool of a problem with this pass rate, 0 to 1."""
        if pass_rate <= self.hard_at_most:
            return "hard"
        return "easy" if pass_rate >= self.easy_at_least else "mixed"
