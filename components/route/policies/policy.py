"""What a policy decides: where the problems of each pool go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from components.shared.pools import Pool, PoolThresholds


@dataclass(frozen=True)
class Way:
    """Where the problems of one pool go.

    Attributes:
        rl_share: share of them that RL gets, 0 to 1.
        sft: which of them SFT gets. What neither gets is dropped.
    """

    rl_share: float
    sft: Literal["all", "rest", "none"] = "none"


class Policy(PoolThresholds):
    """The base of all policies: thresholds of the three pools. A policy is a subclass with a literal `policy`.

    Three named policies are three points of one space, so that a recipe can move between them by its thresholds.
    """

    policy: str = Field(description="name of the policy")
    easy_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of the easy problems that RL gets, as a brake on length: without problems that have short "
        "solutions, answers grow longer (Bounhar and others, arXiv 2511.01937); the number is ours",
    )

    @property
    def ways(self) -> Mapping[Pool, Way]:
        """Where the problems of each pool go."""
        raise NotImplementedError
