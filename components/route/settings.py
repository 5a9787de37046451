"""Settings of route."""

from typing import ClassVar, Literal

from pydantic import Field

from components.route.policies.paper import PaperPolicy
from components.route.policies.registry import AnyPolicy
from components.shared.settings import Settings


class RouteSettings(Settings):
    """Which problems are learnt by which training."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"when_empty"})

    by: AnyPolicy = Field(PaperPolicy(), description="the policy, with its thresholds and shares")
    seed: int = Field(0, ge=0, description="seed of the draws where RL gets a share of a pool")
    when_empty: Literal["fail", "finish"] = Field(
        "fail",
        description="no problem is left to learn from: fail ends the step with an error, finish completes its output "
        "with dropped problems alone (a round of a curriculum may have nothing left to learn)",
    )
