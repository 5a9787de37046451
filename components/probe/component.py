"""The probe component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output

from components.probe.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def probe(
    root: str,
    task: str,
    settings: dict[str, Any],
    problems: Input[Dataset],
    model: str,
    probed: Output[Dataset],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Estimate a model's pass rate on each problem from checked rollouts.

    Args:
        root: URI of the store's root.
        task: the task's name in logs and states, such as probe-round-1.
        settings: the step's settings (ProbeSettings); those left out have their defaults.
        problems: curated instructions with checks (labelled/1).
        model: reference of the model; empty if the settings name an endpoint that answers.

    Returns:
        probed: manifest of the problems with their rollouts (probe/1).
        metrics: counts of problems and rollouts, and pass@k.
        summary: pools, pass@k, and the histogram of pass rates.
        Output: URI of the probed problems in the store.
    """
    from components.probe.probe import probe_problems
    from components.probe.settings import ProbeSettings
    from components.probe.summarise import summarise
    from components.shared.process.perform import hand_over, read_artifact
    from components.shared.process.run_component import run_component

    return run_component(
        task,
        root,
        lambda library: probe_problems(library, ProbeSettings.model_validate(settings), read_artifact(problems), model),
        lambda library, made: hand_over(made, library, probed, metrics, (summary, summarise(library, made))),
    )
