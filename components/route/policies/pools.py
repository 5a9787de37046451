"""The policy `pools`: RL draws from three pools of difficulty with a weight each, as the buffer of prime-rl does.

prime-rl (https://github.com/PrimeIntellect-ai/prime-rl) keeps an easy, a normal and a hard pool, divided at rewards
of 0.2 and 0.8 in its example configuration; the weights are ours.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from components.route.policies.policy import Policy, Way
from components.shared.pools import Pool


class PoolsPolicy(Policy):
    """A weight is the share of a pool that RL gets."""

    policy: Literal["pools"] = Field("pools", description="name of the policy")
    hard_at_most: float = Field(0.2, ge=0, lt=1, description="largest pass rate of a hard problem, 0 to 1")
    easy_at_least: float = Field(0.8, gt=0, le=1, description="smallest pass rate of an easy problem, 0 to 1")
    hard_share: float = Field(0.2, ge=0, le=1, description="share of the hard problems that RL gets, 0 to 1")
    mixed_share: float = Field(1.0, ge=0, le=1, description="share of the mixed problems that RL gets, 0 to 1")
    easy_share: float = Field(0.2, ge=0, le=1, description="share of the easy problems that RL gets, 0 to 1")
    hard_to_sft: bool = Field(True, description="SFT gets the hard problems that RL does not; False: they are dropped")

    @property
    def ways(self) -> Mapping[Pool, Way]:
        """SFT gets the rest of the hard pool."""
        return {
            "hard": Way(self.hard_share, "rest" if self.hard_to_sft else "none"),
            "mixed": Way(self.mixed_share),
            "easy": Way(self.easy_share),
        }
