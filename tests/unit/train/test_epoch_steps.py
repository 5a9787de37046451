"""Where a training ends, which earlier epochs it hands over, and what of that is in its address."""

from typing import Any

import pytest
from pydantic import ValidationError

from components.shared.errors import SettingsError
from components.train.engine.epoch_steps import EpochSteps, epoch_steps
from components.train.methods.registry import parse_train_settings
from components.train.settings import TrainSettings


def settings(**values: Any) -> TrainSettings:
    return parse_train_settings({"method": "sft", "precision": "fp32", "epochs": 9, **values})


def test_the_schedule_is_that_of_all_epochs() -> None:
    assert epoch_steps(settings(), 90, {}) == EpochSteps(scheduled=90, last=90, handed_over={})
    early = epoch_steps(settings(stop_after_epochs=6), 90, {2: "train/x", 4: "train/y"})
    assert early == EpochSteps(scheduled=90, last=60, handed_over={20: 2, 40: 4})


def test_epochs_of_unequal_length_cannot_end_early() -> None:
    assert epoch_steps(settings(), 91, {}).last == 91
    with pytest.raises(SettingsError, match="91 optimizer steps are not 9 epochs"):
        epoch_steps(settings(stop_after_epochs=6), 91, {})
    with pytest.raises(SettingsError, match="91 optimizer steps"):
        epoch_steps(settings(), 91, {3: "train/x"})


def test_what_is_handed_over_is_not_in_the_address_and_an_early_end_is() -> None:
    plain = settings().key_material()
    assert "stop_after_epochs" not in plain, "addresses of earlier versions stay"
    assert settings(hand_over_epochs=[3, 6]).key_material() == plain
    assert settings(stop_after_epochs=3).key_material() == {**plain, "stop_after_epochs": 3}
    handing = settings(hand_over_epochs=[3, 6])
    assert handing.ending_after(3) == settings(stop_after_epochs=3)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"stop_after_epochs": 9}, "stop_after_epochs 9 is not before the end, epoch 9: leave it out"),
        ({"hand_over_epochs": [3, 9]}, "hand_over_epochs 9 is not an earlier epoch"),
        ({"hand_over_epochs": [3], "stop_after_epochs": 2}, "the training ends after epoch 2"),
        ({"hand_over_epochs": [6, 3]}, "list each epoch once, in order"),
        ({"hand_over_epochs": [3, 3]}, "list each epoch once, in order"),
    ],
)
def test_epochs_that_make_no_sense_are_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings(**values)
