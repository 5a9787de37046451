"""The declaration of the step route."""

from components.route.settings import RouteSettings
from components.shared.rollout_rows import Probed, Routed
from components.shared.step import Product, Step

ROUTED = Product("route", 1, Routed.content)

STEP = Step(
    name="route",
    does="send each problem to SFT, to RL or to neither, by its pass rate",
    settings=RouteSettings,
    inputs={"probed": Probed.content},
    outputs={"routed": ROUTED},
)
