"""The merge component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Markdown, Metrics, Model, Output


@dsl.component(base_image="tutelage/train:0.1.0", install_kfp_package=False)
def merge(
    root: str,
    task: str,
    settings: dict[str, Any],
    models: dict[str, str],
    model: Output[Model],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Merge trained models into one.

    Args: root: the store's root URI. task: name of this merge, such as merge-linear. settings: MergeSettings as a dict.
    models: references by name. model: the merged model's manifest. Returns the address's URI.
    """
    from components.merge.merge import merge_models, summarise
    from components.merge.settings import MergeSettings
    from components.shared.step import hand_over, perform, reported

    manifest = perform(task, lambda: merge_models(root, MergeSettings.model_validate(settings), models), root=root)
    with reported(task, root):
        return hand_over(manifest, root, model, metrics, (summary, summarise(root, manifest)))
