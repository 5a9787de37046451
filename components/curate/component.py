"""The curate component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output

from components.curate.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
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
        root: URI of the store's root.
        settings: the step's settings (CurateSettings); those left out have their defaults.
        instructions: collected instructions (instruction/1).
        benchmarks: evaluation questions (question/1), which the result must not overlap.

    Returns:
        dataset: manifest of the curated instructions (labelled/1), with the dropped rows and report.json.
        metrics: counts of kept and dropped rows.
        summary: drops by reason, diversity and labels.
        Output: URI of the curated instructions in the store.
    """
    from components.curate.curate import curate_instructions
    from components.curate.settings import CurateSettings
    from components.curate.summarise import summarise
    from components.shared.process.perform import hand_over, read_artifact
    from components.shared.process.run_component import run_component

    return run_component(
        "curate",
        root,
        lambda library: curate_instructions(
            library, CurateSettings.model_validate(settings), read_artifact(instructions), read_artifact(benchmarks)
        ),
        lambda library, made: hand_over(made, library, dataset, metrics, (summary, summarise(library, made))),
    )
