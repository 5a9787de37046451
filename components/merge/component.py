"""The merge component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Markdown, Metrics, Model, Output

from components.merge.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def merge(
    root: str,
    task: str,
    settings: dict[str, Any],
    models: dict[str, str],
    others: list[dict[str, Any]],
    model: Output[Model],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Merge trained models into one.

    Args:
        root: URI of the store's root.
        task: the task's name in logs and states, such as merge-linear.
        settings: the step's settings (MergeSettings); those left out have their defaults.
        models: references of the models to merge, by name.
        others: settings of further merges of the same models, to be made in the same pass over them.

    Returns:
        model: manifest of the merged model (model/1).
        metrics: counts of merged tensors and parameters.
        summary: the merged models, and the merge's configuration.
        Output: URI of the merged model in the store, which is a model reference.
    """
    from components.merge.merge import merge_models, summarise
    from components.merge.settings import MergeSettings
    from components.shared.process.perform import hand_over
    from components.shared.process.run_component import run_component

    return run_component(
        task,
        root,
        lambda library: merge_models(
            library,
            MergeSettings.model_validate(settings),
            models,
            [MergeSettings.model_validate(one) for one in others],
        ),
        lambda library, made: hand_over(made, library, model, metrics, (summary, summarise(library, made))),
    )
