"""The policies by name. A new one is a file beside this one, and a line here."""

from typing import Annotated

from components.route.policies.all import AllPolicy
from components.route.policies.paper import PaperPolicy
from components.route.policies.policy import Policy
from components.route.policies.pools import PoolsPolicy
from components.route.policies.relift import ReliftPolicy
from components.shared.settings_union import SettingsUnion

POLICIES: dict[str, type[Policy]] = {
    "paper": PaperPolicy,
    "relift": ReliftPolicy,
    "pools": PoolsPolicy,
    "all": AllPolicy,
}

AnyPolicy = Annotated[Policy, SettingsUnion("policy", POLICIES, "policy", default="paper")]
"""The type of a field that holds any policy."""
