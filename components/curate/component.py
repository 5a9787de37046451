"""The curate component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output


@dsl.component(base_image="tutelage/train:0.1.0", install_kfp_package=False)
def curate(
    root: str,
    settings: dict[str, Any],
    instructions: Input[Dataset],
    benchmarks: Input[Dataset],
    dataset: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Filter, label and balance instructions.

    Args:
        root: the store's root URI.
        settings: CurateSettings as a dict.
        instructions: collected instructions (instruction/1).
        benchmarks: the evaluation sets (question/1) that the result may not overlap.
        dataset: the curated instructions (labelled/1), with what was dropped and report.json.
        metrics: counts.
        summary: drops, diversity and labels.

    Returns:
        The address's URI.
    """
    from components.curate.curate import curate_instructions
    from components.curate.settings import CurateSettings
    from components.curate.summarise import summarise
    from components.shared.step import hand_over, perform, read_artifact, reported

    manifest = perform(
        "curate",
        lambda: curate_instructions(
            root, CurateSettings.model_validate(settings), read_artifact(instructions), read_artifact(benchmarks)
        ),
        root=root,
    )
    with reported("curate", root):
        return hand_over(manifest, root, dataset, metrics, (summary, summarise(root, manifest)))
