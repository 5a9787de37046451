"""The policy `all`: SFT and RL get every problem, whatever its pass rate.

It routes nothing: what a routed training is compared with, at the same cost, learns from all problems.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from components.route.policies.policy import Policy, Way
from components.shared.pools import POOLS, Pool


class AllPolicy(Policy):
    """Pools only count; `easy_share` is the share of the easy problems that RL gets."""

    policy: Literal["all"] = Field("all", description="name of the policy")
    easy_share: float = Field(1.0, ge=0, le=1, description="share of the easy problems that RL gets, 0 to 1")

    @property
    def ways(self) -> Mapping[Pool, Way]:
        """SFT is in addition to RL."""
        return {pool: Way(self.easy_share if pool == "easy" else 1.0, "all") for pool in POOLS}
