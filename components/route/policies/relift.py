"""The policy `relift`: RL gets every problem, and SFT gets the hardest ones besides (ReLIFT, arXiv 2506.07527).

ReLIFT calls a problem hardest when none of 8 rollouts succeeds, and interleaves SFT on these with RL on all problems.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from components.route.policies.policy import Policy, Way
from components.shared.pools import Pool


class ReliftPolicy(Policy):
    """Hard problems go both ways: after SFT on their solutions, RL may reach them."""

    policy: Literal["relift"] = Field("relift", description="name of the policy")
    hard_share: float = Field(1.0, ge=0, le=1, description="share of the hard problems that RL gets too, 0 to 1")
    easy_share: float = Field(1.0, ge=0, le=1, description="share of the easy problems that RL gets, 0 to 1")

    @property
    def ways(self) -> Mapping[Pool, Way]:
        """SFT is in addition to RL."""
        return {"hard": Way(self.hard_share, "all"), "mixed": Way(1.0), "easy": Way(self.easy_share)}
