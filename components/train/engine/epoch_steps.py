"""The optimizer steps of a training by its epochs: of the schedule, of the end, and of the models handed over."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.shared.errors import SettingsError
from components.train.settings import TrainSettings


@dataclass(frozen=True)
class EpochSteps:
    """The steps of a training.

    Attributes:
        scheduled: those of all epochs, over which the learning rate changes.
        last: the step after which the training ends.
        handed_over: the earlier epochs whose models are handed over, by their last step.
    """

    scheduled: int
    last: int
    handed_over: Mapping[int, int]


def epoch_steps(settings: TrainSettings, scheduled: int, epochs: Mapping[int, str]) -> EpochSteps:
    """The steps of a training.

    Args:
        settings: of the training.
        scheduled: optimizer steps of all its epochs.
        epochs: the earlier epochs that are handed over, with the address of each.

    Raises:
        SettingsError: it ends within its epochs, or hands a model over, and its epochs are not equally long.
    """
    ends_within = settings.last_epoch < settings.epochs or bool(epochs)
    if ends_within and scheduled % settings.epochs:
        raise SettingsError(
            f"{scheduled} optimizer steps are not {settings.epochs} epochs of equal length",
            rule="a training can end after an epoch only where all have the same number of steps",
            remedy="leave stop_after_epochs and hand_over_epochs out, or use a method that shuffles epochs one by one",
        )
    each = scheduled // settings.epochs
    last = scheduled if settings.stop_after_epochs is None else each * settings.stop_after_epochs
    return EpochSteps(scheduled, last, {each * epoch: epoch for epoch in sorted(epochs)})
