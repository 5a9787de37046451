"""What all methods share that learn from preferences."""

from typing import Self

from pydantic import model_validator

from components.train.settings import TrainSettings


class PreferenceSettings(TrainSettings):
    """Settings of a method that compares log-probs, which dropout would blur: trl turns it off."""

    @model_validator(mode="after")
    def _no_dropout(self) -> Self:
        if self.lora is not None and self.lora.dropout:
            raise ValueError(
                f"lora.dropout {self.lora.dropout} has no effect with method {self.method}, which trains without "
                "dropout; leave it out"
            )
        return self
