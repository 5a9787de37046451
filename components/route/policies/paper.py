"""The policy `paper`: all fail → SFT, mixed → RL, all pass → dropped (He and others, arXiv 2606.04466).

A group whose rollouts all fail or all pass has no advantage in GRPO, so RL learns nothing from it.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from components.route.policies.policy import Policy, Way
from components.shared.pools import Pool


class PaperPolicy(Policy):
    """Each problem goes one way. `easy_share: 0` drops every easy problem, as the paper does."""

    policy: Literal["paper"] = Field("paper", description="name of the policy")

    @property
    def ways(self) -> Mapping[Pool, Way]:
        """SFT gets what RL cannot learn."""
        return {"hard": Way(0.0, "all"), "mixed": Way(1.0), "easy": Way(self.easy_share)}
