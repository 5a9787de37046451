"""The train component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Model, Output

from components.train.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def train(
    root: str,
    task: str,
    settings: dict[str, Any],
    dataset: Input[Dataset],
    start: str,
    model: Output[Model],
    metrics: Output[Metrics],
    summary: Output[Markdown],
    budget: list[str] = [],  # noqa: B006 - kfp compiles the default
) -> str:
    """Train a model on selected rows, distributed by torchrun and DeepSpeed.

    Args:
        root: URI of the store's root.
        task: the task's name in logs and states, such as train-sft.
        settings: the step's settings (SftSettings, KtoSettings, …, by `method`); those left out have their defaults.
        dataset: the rows: selected responses (selection/1), or for GRPO problems (routed/1).
        start: reference of the model to start from.
        budget: URIs of trained models. This training ends at the first step at which its compute (tokens forward and
            backward, and generated tokens) reaches that of their trainings; epochs are repeated as needed. Empty: no
            limit.

    Returns:
        model: manifest of the trained model (model/1).
        metrics: rows, steps, loss and the method's own metrics.
        summary: the training as a table.
        Output: URI of the trained model in the store, which is a model reference.
    """
    from components.shared.process.perform import hand_over, read_artifact
    from components.shared.process.run_component import run_component
    from components.train.methods.registry import parse_train_settings
    from components.train.train import summarise, train_model

    return run_component(
        task,
        root,
        lambda library: train_model(
            library, task, parse_train_settings(settings), read_artifact(dataset), start, budget=budget
        ),
        lambda library, made: hand_over(made, library, model, metrics, (summary, summarise(task, made))),
    )
