"""The evaluate component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Markdown, Metrics, Output


@dsl.component(base_image="tutelage/train:0.1.0", install_kfp_package=False)
def evaluate(
    root: str,
    settings: dict[str, Any],
    benchmarks: Input[Dataset],
    models: dict[str, str],
    comparison: Output[Artifact],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Evaluate every model, and compare each with the base.

    Args: root: the store's root URI. settings: EvaluateSettings as a dict. benchmarks: the questions' manifest.
    models: references by name, base among them. comparison: the comparison's manifest. Returns the address's URI.
    """
    from components.evaluate.evaluate import evaluate_models
    from components.evaluate.settings import EvaluateSettings
    from components.evaluate.summarise import summarise
    from components.shared.step import hand_over, perform, read_artifact, reported

    def work() -> Any:
        return evaluate_models(root, EvaluateSettings.model_validate(settings), read_artifact(benchmarks), models)

    manifest = perform("evaluate", work, root=root)
    with reported("evaluate", root):
        return hand_over(manifest, root, comparison, metrics, (summary, summarise(root, manifest)))
