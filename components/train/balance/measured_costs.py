"""What a job has measured at its start: its ranks' seconds for the model's layers, and the links between neighbours."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean
from typing import Self

from pydantic import Field

from components.shared.settings import Settings
from components.train.balance.devices import Link
from components.train.balance.layers import LayerCost

GIB = 2**30
ALIKE = 1.1
"""Neighbours of one device's name whose seconds differ by no more than this factor are devices of one kind."""
SHOWN = 8
"""A line for the log lists at most so many ranks."""


class PassSeconds(Settings):
    """Seconds of a micro-batch's passes."""

    forward: float = Field(ge=0, description="seconds of a forward pass whose activations are kept")
    backward: float = Field(ge=0, description="seconds of the backward pass after it")


class LayerSeconds(Settings):
    """What a decoder's layers take on one device, for a micro-batch of the run."""

    first: PassSeconds = Field(description="embeddings and first layer")
    inner: PassSeconds = Field(description="each layer between the first and the last one")
    last: PassSeconds = Field(description="last layer, norm and head with the loss")

    def of_layers(self, count: int) -> list[PassSeconds]:
        """By layer, of a decoder with so many, at least two."""
        return [self.first, *[self.inner] * (count - 2), self.last]

    def total(self, count: int) -> float:
        """Both passes through so many layers."""
        return sum(layer.forward + layer.backward for layer in self.of_layers(count))

    @classmethod
    def mean(cls, several: Sequence[Self]) -> Self:
        """The mean of several devices."""

        def of(parts: Sequence[PassSeconds]) -> PassSeconds:
            return PassSeconds(forward=mean(p.forward for p in parts), backward=mean(p.backward for p in parts))

        return cls(**{name: of([getattr(one, name) for one in several]) for name in cls.model_fields})


class MeasuredRank(Settings):
    """One process."""

    name: str = Field(description="of its device")
    free_gib: float = Field(description="free memory before the model is loaded, GiB")
    layers: LayerSeconds


class MeasuredLink(Settings):
    """The link between two processes, by messages of the size that stages send each other."""

    ranks: tuple[int, int]
    link: Link


class StagesRecord(Settings):
    """Which layers the stages of a job have, by what was measured: a line of `stages.jsonl`."""

    step: int = Field(ge=1, description="the first optimizer step of these stages")
    ranks: tuple[MeasuredRank, ...]
    links: tuple[MeasuredLink, ...]
    message_bytes: int = Field(description="of a micro-batch's states, which stages send each other")
    layers: tuple[int, ...] = Field(description="of each stage of a pipeline")
    recomputed: bool = Field(description="whether activations are recomputed")
    step_seconds: float = Field(description="predicted time of an optimizer step, without the update of weights")
    measuring_seconds: float = Field(description="what measuring took")

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The layers [first, end) of each stage."""
        return list(pairwise([sum(self.layers[:place]) for place in range(len(self.layers) + 1)]))

    def __str__(self) -> str:
        """A line for the log."""
        count = sum(self.layers)
        found = [f"rank {number} {rank.layers.total(count):.3g} s" for number, rank in enumerate(self.ranks)]
        sent = [f"{one.ranks[0]}–{one.ranks[1]} {one.link.seconds(self.message_bytes):.2g} s" for one in self.links]
        return (
            f"costs measured in {self.measuring_seconds:.1f} s. All layers of a micro-batch, both passes: "
            f"{_listed(found)}. A message of {self.message_bytes / 2**20:,.3g} MiB between ranks: {_listed(sent)}"
        )


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words if len(words) <= SHOWN else [*words[: SHOWN - 1], f"… ({len(words)})"])


def alike(ranks: Sequence[MeasuredRank], count: int) -> list[list[int]]:
    """Numbers of ranks that follow each other and are of one kind: the same device, about as fast.

    Args:
        ranks: of a job.
        count: of the model's layers.
    """
    groups: list[list[int]] = [[0]]
    for before, number in pairwise(range(len(ranks))):
        first, own = ranks[groups[-1][0]], ranks[number]
        times = sorted((first.layers.total(count), own.layers.total(count)))
        if ranks[before].name == own.name and times[1] <= ALIKE * times[0]:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def with_measured(
    layers: Sequence[LayerCost], found: Mapping[str, LayerSeconds], *, recomputed: bool, reads_others: bool
) -> list[LayerCost]:
    """The layers' costs with measured seconds in the place of estimated ones.

    Args:
        layers: estimated.
        found: by kind of device.
        recomputed: whether a layer's backward pass begins with another forward pass; the head's does not.
        reads_others: whether a response of another row is read beside each, without gradients.
    """
    return [
        layer.model_copy(
            update={
                "forward_seconds": {
                    kind: one.of_layers(len(layers))[place].forward * (1 + reads_others) for kind, one in found.items()
                },
                "backward_seconds": {
                    kind: one.of_layers(len(layers))[place].backward + one.inner.forward * recomputed
                    for kind, one in found.items()
                },
            }
        )
        for place, layer in enumerate(layers)
    ]
