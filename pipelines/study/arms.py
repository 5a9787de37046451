"""The arms of a study: a list, a grid, or both, and what each of them is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.shared.settings import Settings
from components.train.settings import LoraSettings
from pipelines.study.chains import Chain, parse_chain

ALL = "all"
FAMILY = "study"
"""Of the arms that name none."""
LORA = "lora"
Rate = Annotated[float, Field(gt=0, le=1)]


def _readable(text: str) -> str:
    parse_chain(text)
    return text


ChainText = Annotated[str, AfterValidator(_readable)]


class LoraWeights(Settings):
    """Low-rank adapters instead of all weights, in every stage of a chain."""

    lora: LoraSettings = Field(description="rank, alpha, dropout and targets of the adapters")
    name: str = Field(
        "", pattern=r"^([a-z][a-z0-9]*)?$", description="as part of names; left out: lora and the rank, such as lora16"
    )

    @property
    def slug(self) -> str:
        """As part of a name."""
        return self.name or f"{LORA}{self.lora.rank}"


Weights = Literal["all"] | LoraWeights


class Arm(Settings):
    """One training that the study judges."""

    name: str = Field(
        "", description="its name in tables and tasks; left out: chain and weights, such as sft9-dpo6-lora8"
    )
    chain: ChainText = Field(
        description="methods with their epochs, each stage from the model of the one before: `sft@9 -> dpo@6`. A last "
        "stage without epochs gets those that match the compute"
    )
    weights: Weights = Field("all", description="what is trained in every stage: all, or {lora: {rank: 8, alpha: 16}}")
    learning_rates: tuple[Rate, ...] = Field(
        (), description="rates of the last stage that are tried; left out: those of its method"
    )
    family: str = Field(
        FAMILY,
        min_length=1,
        description="arms of one family are tested together: p-values are corrected for the number of its tests",
    )


class ArmGrid(Settings):
    """Arms for every combination of chains and weights."""

    chains: tuple[ChainText, ...] = Field(min_length=1, description="chains, as in `arms`")
    weights: tuple[Weights, ...] = Field(("all",), min_length=1, description="what is trained, as in `arms`")

    @property
    def arms(self) -> Iterator[tuple[int, Arm]]:
        """The combinations, the weights of each chain together, with the number of the chain."""
        for number, chain in enumerate(self.chains):
            for weights in self.weights:
                yield number, Arm(chain=chain, weights=weights)


@dataclass(frozen=True)
class Point:
    """A chain with its weights: an arm, or a stage that arms start from.

    Attributes:
        chain: with the epochs of every stage.
        weights: what is trained.
    """

    chain: Chain
    weights: Weights

    @property
    def slug(self) -> str:
        """The default name."""
        return f"{self.chain.slug}-{ALL if isinstance(self.weights, str) else self.weights.slug}"

    @property
    def kind(self) -> str:
        """The kind of weights, by which a method's learning rates are named."""
        return ALL if isinstance(self.weights, str) else LORA

    @property
    def lora(self) -> LoraSettings | None:
        """The adapters; None for all weights."""
        return None if isinstance(self.weights, str) else self.weights.lora

    @property
    def start(self) -> "Point | None":
        """What its last stage starts from; None for the student."""
        return None if self.chain.prefix is None else Point(self.chain.prefix, self.weights)

    def ending_after(self, epochs: int) -> "Point":
        """The point with other epochs of its last stage."""
        return Point(self.chain.ending_after(epochs), self.weights)

    @property
    def family(self) -> tuple["Point | None", str, Weights]:
        """Points of one family are epochs of the same trainings."""
        return self.start, self.chain.last.method, self.weights


def point_of(arm: Arm) -> Point:
    """The chain and weights of an arm."""
    return Point(parse_chain(arm.chain), arm.weights)
