"""The select component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output

from components.select.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def select(
    root: str,
    settings: dict[str, Any],
    responses: Input[Dataset],
    dataset: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Score and check the responses, and choose those that are trained on.

    Args:
        root: URI of the store's root.
        settings: the step's settings (SelectSettings); those left out have their defaults.
        responses: instructions with their responses (answered/1).

    Returns:
        dataset: manifest of the selection (selection/1): the rows of each training method, and the verdicts.
        metrics: counts of rows, and how scores and checks are distributed.
        summary: the selection as tables.
        Output: URI of the selection in the store.
    """
    from components.select.report import summarise
    from components.select.select import select_responses
    from components.select.settings import SelectSettings
    from components.shared.process.perform import hand_over, read_artifact
    from components.shared.process.run_component import run_component

    return run_component(
        "select",
        root,
        lambda library: select_responses(library, SelectSettings.model_validate(settings), read_artifact(responses)),
        lambda library, made: hand_over(made, library, dataset, metrics, (summary, summarise(library, made))),
    )
