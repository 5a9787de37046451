"""All training methods by name. A new one is a file beside this one and a line here."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from components.shared.settings_union import SettingsUnion
from components.train.methods import dpo, grpo, kto, orpo, sft, simpo
from components.train.methods.method import TrainingMethod
from components.train.settings import TrainSettings

METHODS: dict[str, TrainingMethod[Any]] = {
    module.METHOD.name: module.METHOD for module in (sft, kto, dpo, orpo, simpo, grpo)
}


class SettingsByMethod(Mapping[str, type[TrainSettings]]):
    """The settings class of each method that is in the registry when it is asked."""

    def __getitem__(self, name: str) -> type[TrainSettings]:
        settings: type[TrainSettings] = METHODS[name].settings
        return settings

    def __iter__(self) -> Iterator[str]:
        return iter(METHODS)

    def __len__(self) -> int:
        return len(METHODS)


_CHOICE = SettingsUnion("method", SettingsByMethod(), "training method", default=sft.METHOD.name)
AnyTrainSettings = Annotated[TrainSettings, _CHOICE]
"""Settings of any method: validated as `SftSettings`, `KtoSettings`, … by their `method`."""


def parse_train_settings(values: Mapping[str, Any]) -> TrainSettings:
    """Settings of the method that the values name; SFT where they name none. Raises pydantic.ValidationError."""
    settings = _CHOICE.parse(values)
    assert isinstance(settings, TrainSettings)
    return settings


def method_of(settings: TrainSettings) -> TrainingMethod[Any]:
    """The method that settings belong to."""
    return METHODS[settings.method]
