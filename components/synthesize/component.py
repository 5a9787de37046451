"""The synthesize component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output


@dsl.component(base_image="tutelage/ray:0.1.0", install_kfp_package=False)
def synthesize(
    root: str,
    settings: dict[str, Any],
    dataset: Input[Dataset],
    responses: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Three responses to each instruction: the original one, the teacher's, the small model's.

    Args:
        root: the store's root URI.
        settings: SynthesizeSettings as a dict.
        dataset: curated instructions (Labelled rows).
        responses: the same with their responses (Answered rows).
        metrics: counts, tokens, rates and the price.
        summary: the same as a table.

    Returns:
        The address's URI.
    """
    from components.shared.step import hand_over, perform, read_artifact, reported
    from components.synthesize.settings import SynthesizeSettings
    from components.synthesize.synthesize import summarise, synthesize_responses

    manifest = perform(
        "synthesize",
        lambda: synthesize_responses(root, SynthesizeSettings.model_validate(settings), read_artifact(dataset)),
        root=root,
    )
    with reported("synthesize", root):
        return hand_over(manifest, root, responses, metrics, (summary, summarise(root, manifest)))
