"""The synthesize component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output

from components.synthesize.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def synthesize(
    root: str,
    settings: dict[str, Any],
    dataset: Input[Dataset],
    responses: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Generate responses to each instruction: the original one is kept, the teacher and the student add theirs.

    Args:
        root: URI of the store's root.
        settings: the step's settings (SynthesizeSettings); those left out have their defaults.
        dataset: curated instructions (labelled/1).

    Returns:
        responses: manifest of the instructions with their responses (answered/1).
        metrics: counts, tokens, rates and the price.
        summary: the metrics as a table.
        Output: URI of the responses in the store.
    """
    from components.shared.process.perform import hand_over, read_artifact
    from components.shared.process.run_component import run_component
    from components.synthesize.settings import SynthesizeSettings
    from components.synthesize.synthesize import summarise, synthesize_responses

    return run_component(
        "synthesize",
        root,
        lambda library: synthesize_responses(
            library, SynthesizeSettings.model_validate(settings), read_artifact(dataset)
        ),
        lambda library, made: hand_over(made, library, responses, metrics, (summary, summarise(library, made))),
    )
