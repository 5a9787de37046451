"""The compare component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Artifact, Markdown, Metrics, Output

from components.compare.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def compare(
    root: str,
    settings: dict[str, Any],
    evaluations: dict[str, str],
    comparison: Output[Artifact],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Compare every evaluated model with the base.

    Args:
        root: URI of the store's root.
        settings: the step's settings (CompareSettings); those left out have their defaults.
        evaluations: URIs of the evaluations in the store (evaluation/1), by the names of the models; one is named base.

    Returns:
        comparison: manifest of the comparison (comparison/1).
        metrics: each model's score on each benchmark.
        summary: scores with standard errors, and each model's paired difference from the base.
        Output: URI of the comparison in the store.
    """
    from components.compare.compare import compare_models
    from components.compare.settings import CompareSettings
    from components.compare.summarise import summarise
    from components.shared.process.perform import hand_over
    from components.shared.process.run_component import run_component

    return run_component(
        "compare",
        root,
        lambda library: compare_models(
            library,
            CompareSettings.model_validate(settings),
            {name: library.load(library.address_of(uri)) for name, uri in evaluations.items()},
        ),
        lambda library, made: hand_over(made, library, comparison, metrics, (summary, summarise(library, made))),
    )
