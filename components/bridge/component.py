"""The bridge component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output

from components.bridge.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def bridge(
    root: str,
    task: str,
    settings: dict[str, Any],
    routed: Input[Dataset],
    probed: Input[Dataset],
    student: str,
    bridged: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Rewrite the teacher's correct traces for the student, and keep what suits it best.

    Args:
        root: URI of the store's root.
        task: the task's name in logs and states, such as bridge-round-1.
        settings: the step's settings (BridgeSettings); those left out have their defaults.
        routed: routed problems (routed/1); those of its part sft are taught.
        probed: problems with the student's rollouts (probe/1), whose lengths give the token cap.
        student: reference of the student.

    Returns:
        bridged: manifest of the rows to learn (selection/1), with the parts sft, bridged and dropped.
        metrics: counts of texts by origin and of dropped problems, and how far the texts moved.
        summary: the same, with what became of the rewritings.
        Output: URI of the rows in the store.
    """
    from components.bridge.bridge import bridge_traces
    from components.bridge.settings import BridgeSettings
    from components.bridge.summarise import summarise
    from components.shared.process.perform import hand_over, read_artifact
    from components.shared.process.run_component import run_component

    return run_component(
        task,
        root,
        lambda library: bridge_traces(
            library,
            BridgeSettings.model_validate(settings),
            read_artifact(routed),
            read_artifact(probed),
            student,
        ),
        lambda library, made: hand_over(made, library, bridged, metrics, (summary, summarise(library, made))),
    )
