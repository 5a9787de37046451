"""The made-up component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Metrics, Output

from tests.unit.registries.made_up.shout.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def shout(root: str, settings: dict[str, Any], task: str, shouted: Output[Dataset], metrics: Output[Metrics]) -> str:
    """Shout a text.

    Args:
        root: URI of the store's root.
        settings: the step's settings (ShoutSettings).
        task: the task's name.

    Returns:
        shouted: manifest of what was shouted (shout/1).
        metrics: its length.
        Output: URI of what was shouted.
    """
    from components.shared.process.perform import hand_over
    from components.shared.process.run_component import run_component
    from tests.unit.registries.made_up.shout.settings import ShoutSettings
    from tests.unit.registries.made_up.shout.shout import shout_text

    return run_component(
        task,
        root,
        lambda library: shout_text(library, ShoutSettings.model_validate(settings)),
        lambda library, made: hand_over(made, library, shouted, metrics),
    )
