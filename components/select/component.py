"""The select component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output


@dsl.component(base_image="tutelage/train:0.1.0", install_kfp_package=False)
def select(
    root: str,
    settings: dict[str, Any],
    responses: Input[Dataset],
    dataset: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Choose the responses to learn from.

    Args: root: the store's root URI. settings: SelectSettings as a dict. responses: what synthesize made. dataset: SFT
    rows, KTO rows and verdicts, at one address. Returns the address's URI.
    """
    from components.select.report import summarise
    from components.select.select import select_responses
    from components.select.settings import SelectSettings
    from components.shared.step import hand_over, perform, read_artifact, reported

    manifest = perform(
        "select",
        lambda: select_responses(root, SelectSettings.model_validate(settings), read_artifact(responses)),
        root=root,
    )
    with reported("select", root):
        return hand_over(manifest, root, dataset, metrics, (summary, summarise(root, manifest)))
