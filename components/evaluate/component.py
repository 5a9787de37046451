"""The evaluate component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Markdown, Metrics, Output

from components.evaluate.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def evaluate(
    root: str,
    task: str,
    name: str,
    settings: dict[str, Any],
    benchmarks: Input[Dataset],
    model: str,
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Evaluate one model on the benchmarks.

    Args:
        root: URI of the store's root.
        task: the task's name in logs and states, such as evaluate-sft.
        name: the model's name in messages.
        settings: the step's settings (EvaluationSettings); those left out have their defaults.
        benchmarks: evaluation questions (question/1).
        model: reference of the model; empty if the settings name an endpoint that answers.

    Returns:
        evaluation: manifest of the evaluation (evaluation/1).
        metrics: the model's score on each benchmark.
        summary: scores with standard errors.
        Output: URI of the evaluation in the store.
    """
    from components.evaluate.evaluate import evaluate_model
    from components.evaluate.settings import EvaluationSettings
    from components.evaluate.summarise import summarise
    from components.shared.process.perform import hand_over, read_artifact
    from components.shared.process.run_component import run_component

    return run_component(
        task,
        root,
        lambda library: evaluate_model(
            library, EvaluationSettings.model_validate(settings), read_artifact(benchmarks), model, name
        ),
        lambda library, made: hand_over(made, library, evaluation, metrics, (summary, summarise(library, made, name))),
    )
