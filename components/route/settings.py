"""Settings of route."""

from pydantic import Field

from components.route.policies.paper import PaperPolicy
from components.route.policies.registry import AnyPolicy
from components.shared.settings import Settings


class RouteSettings(Settings):
    """Which problems are learnt by which training."""

    by: AnyPolicy = Field(PaperPolicy(), description="the policy, with its thresholds and shares")
    seed: int = Field(0, ge=0, description="seed of the draws where RL gets a share of a pool")
