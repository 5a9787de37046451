"""The train component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Model, Output


@dsl.component(base_image="tutelage/train:0.1.0", install_kfp_package=False)
def train(
    root: str,
    task: str,
    settings: dict[str, Any],
    dataset: Input[Dataset],
    start: str,
    model: Output[Model],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Train a model with SFT or KTO on DeepSpeed.

    Args: root: the store's root URI. task: the step's name in logs and states, such as train-sft. settings:
    TrainSettings as a dict. dataset: the select step's output. start: reference of the model to start from. model: the
    trained model's manifest. Returns the address's URI, which is a model reference.
    """
    from components.shared.step import hand_over, perform, read_artifact, reported
    from components.train.settings import TrainSettings
    from components.train.train import summarise, train_model

    manifest = perform(
        task,
        lambda: train_model(root, task, TrainSettings.model_validate(settings), read_artifact(dataset), start),
        root=root,
    )
    with reported(task, root):
        return hand_over(manifest, root, model, metrics, (summary, summarise(task, manifest)))
