"""The settings of a training with other values, or why they refuse these."""

from typing import Any

from pydantic import ValidationError

from components.train.settings import TrainSettings


def change_settings(settings: TrainSettings, **values: Any) -> TrainSettings | str:
    """The settings with these values, checked; where they do not fit, the rule that refuses them."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    try:
        return type(settings).model_validate({**given, **values})
    except ValidationError as error:
        faults = [str(fault["msg"]).removeprefix("Value error, ") for fault in error.errors(include_url=False)]
        return "; ".join(faults)
