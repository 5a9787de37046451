"""The settings of one merge."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from components.merge.methods.options import MergeOptions
from components.merge.methods.registry import METHODS
from components.shared.settings import known

MethodName = Annotated[str, known(METHODS, "merge method")]


class MergeSettings(MergeOptions):
    """Which models are merged, and how."""

    method: MethodName = Field("linear", description="how; each file in methods/ names its paper")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        names = [model.name for model in self.models]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"models names {', '.join(repeated)} more than once; name each model once")
        METHODS[self.method].require_possible(self)
        return self

    @property
    def is_streamed(self) -> bool:
        """Whether it is merged slice by slice, not by mergekit."""
        return METHODS[self.method].prepare is not None

    def reads_alike(self, other: "MergeSettings") -> bool:
        """Whether both can be made in one pass over the same models."""
        return self.is_streamed and other.is_streamed and set(self.used) == set(other.used)
