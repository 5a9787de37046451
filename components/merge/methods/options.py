"""The input of a merge method: the models to merge, and the parameters of all methods."""

from typing import Literal

from pydantic import Field

from components.shared.settings import Settings


class Ingredient(Settings):
    """One model of the merge, named as in the step's `models`."""

    name: str = Field(min_length=1, description="name of a model among the step's inputs")
    weight: float = Field(1.0, description="its share; linear divides by the sum unless normalize is false")
    density: float = Field(
        0.5, gt=0, le=1, description="ties, dare_ties: share of its difference to the base that is kept"
    )


class MergeOptions(Settings):
    """Which models are merged, and with which parameters."""

    models: tuple[Ingredient, ...] = Field(min_length=1, description="what is merged, in order; the base need not be")
    base: str = Field(
        "", description="name of the model the others came from; slerp: the end at t = 0 (the first model when empty)"
    )
    t: float = Field(0.5, ge=0, le=1, description="slerp: 0 gives the base, 1 the other model")
    normalize: bool = Field(True, description="linear, ties, dare_ties: divide by the sum of the weights")
    seed: int = Field(0, ge=0, description="dare_ties: seed of the random masks")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="type of the weights that are written; auto: the base's. Arithmetic is in float32"
    )

    @property
    def used(self) -> tuple[str, ...]:
        """Names of all models that the merge reads: the base first, where there is one, then the others in order."""
        return tuple(dict.fromkeys([*([self.base] if self.base else []), *(model.name for model in self.models)]))

    @property
    def donor(self) -> str:
        """The model whose config, tokenizer and chat template the result gets: the base, else the first."""
        return self.used[0]

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the merged models apart from the base."""
        return tuple(model.name for model in self.models if model.name != self.base)
