"""The steps of a training that ends when its compute is spent, whatever its epochs."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from components.train.methods.method import TrainingData
from components.train.settings import TrainSettings


def spend_tokens(
    data: TrainingData, allowed: int, settings: TrainSettings, prepare: Callable[[int], TrainingData]
) -> TrainingData:
    """The rows up to the step at which their tokens reach `allowed`.

    Where a row's tokens are known only when it is trained on, by the fewest that it can cost: the training then ends
    earlier, by what it has measured.

    Args:
        data: of the settings' epochs, which are repeated as often as needed.
        allowed: tokens, above 0.
        settings: of the training.
        prepare: makes the data of a number of epochs.
    """
    epochs, tokens = settings.epochs, _tokens_of_steps(data, settings)
    each = tokens.sum() / epochs
    while tokens.sum() < allowed:
        epochs = max(epochs + 1, int(np.ceil(allowed / each)))
        data = prepare(epochs)
        tokens = _tokens_of_steps(data, settings)
    steps = int(np.searchsorted(tokens.cumsum(), allowed)) + 1
    return replace(data, order=data.order[: steps * settings.global_batch])


def _tokens_of_steps(data: TrainingData, settings: TrainSettings) -> np.ndarray:
    return np.asarray(data.fewest_tokens[data.order].reshape(-1, settings.global_batch).sum(axis=1))
