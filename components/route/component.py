"""The route component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output

from components.route.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def route(
    root: str,
    task: str,
    settings: dict[str, Any],
    probed: Input[Dataset],
    routed: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Send each problem to SFT, to RL or to neither, by its pass rate.

    Args:
        root: URI of the store's root.
        task: the task's name in logs and states, such as route-round-1.
        settings: the step's settings (RouteSettings); those left out have their defaults.
        probed: problems with their rollouts (probe/1).

    Returns:
        routed: manifest of the routed problems (routed/1), with the parts sft, rl and dropped.
        metrics: counts of problems by pool and part.
        summary: pools, and the histogram of pass rates of each part.
        Output: URI of the routed problems in the store.
    """
    from components.route.route import route_problems
    from components.route.settings import RouteSettings
    from components.route.summarise import summarise
    from components.shared.process.perform import hand_over, read_artifact
    from components.shared.process.run_component import run_component

    return run_component(
        task,
        root,
        lambda library: route_problems(library, RouteSettings.model_validate(settings), read_artifact(probed)),
        lambda library, made: hand_over(made, library, routed, metrics, (summary, summarise(library, made))),
    )
