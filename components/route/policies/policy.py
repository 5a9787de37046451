"""What a policy decides: the pool of a problem, and where the problems of a pool go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from components.shared.settings import Settings

RoutePool = Literal["hard", "mixed", "easy"]
POOLS: tuple[RoutePool, ...] = ("hard", "mixed", "easy")


@dataclass(frozen=True)
class Way:
    """Where the problems of one pool go.

    Attributes:
        rl_share: share of them that RL gets, 0 to 1.
        sft: which of them SFT gets. What neither gets is dropped.
    """

    rl_share: float
    sft: Literal["all", "rest", "none"] = "none"


class Policy(Settings):
    """The base of all policies: thresholds of the three pools. A policy is a subclass with a literal `policy`.

    Three named policies are three points of one space, so that a recipe can move between them by its thresholds.
    """

    policy: str = Field(description="name of the policy")
    hard_at_most: float = Field(0.0, ge=0, lt=1, description="largest pass rate of a hard problem, 0 to 1")
    easy_at_least: float = Field(1.0, gt=0, le=1, description="smallest pass rate of an easy problem, 0 to 1")
    easy_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of the easy problems that RL gets, as a brake on length: without problems that have short "
        "solutions, answers grow longer (Bounhar and others, arXiv 2511.01937); the number is ours",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.hard_at_most >= self.easy_at_least:
            raise ValueError(f"hard_at_most {self.hard_at_most:g} must be below easy_at_least {self.easy_at_least:g}")
        return self

    def pool(self, pass_rate: float) -> RoutePool:
        """The pool of a problem with this pass rate, 0 to 1."""
        if pass_rate <= self.hard_at_most:
            return "hard"
        return "easy" if pass_rate >= self.easy_at_least else "mixed"

    @property
    def ways(self) -> Mapping[RoutePool, Way]:
        """Where the problems of each pool go."""
        raise NotImplementedError
