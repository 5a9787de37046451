"""The critique component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output

from components.critique.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def critique(
    root: str,
    task: str,
    settings: dict[str, Any],
    probed: Input[Dataset],
    bridged: Input[Dataset],
    critiqued: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Add to the traces what is wrong in failed rollouts, and their corrections.

    Args:
        root: URI of the store's root.
        task: the task's name in logs and states, such as critique-round-1.
        settings: the step's settings (CritiqueSettings); those left out have their defaults.
        probed: problems with the student's rollouts (probe/1).
        bridged: the traces to learn for these problems (selection/1, its part sft).

    Returns:
        critiqued: manifest of the rows to learn (selection/1), with the parts sft, critiques and dropped.
        metrics: counts of rows by kind, and of what was lost by reason.
        summary: the same, with the shares of the mix.
        Output: URI of the rows in the store.
    """
    from components.critique.critique import critique_rollouts
    from components.critique.settings import CritiqueSettings
    from components.critique.summarise import summarise
    from components.shared.process.perform import hand_over, read_artifact
    from components.shared.process.run_component import run_component

    return run_component(
        task,
        root,
        lambda library: critique_rollouts(
            library,
            CritiqueSettings.model_validate(settings),
            read_artifact(probed),
            read_artifact(bridged),
        ),
        lambda library, made: hand_over(made, library, critiqued, metrics, (summary, summarise(library, made))),
    )
