"""The devices that train together: kinds of different speed and memory, and the links between them."""

from collections.abc import Collection
from typing import Self

from pydantic import Field, model_validator

from components.shared.settings import Settings


class Link(Settings):
    """What a message between two devices takes: latency + bytes / rate."""

    bytes_a_second: float = Field(gt=0, description="bytes a second in one direction")
    latency_seconds: float = Field(0.0, ge=0, description="seconds before the first byte arrives")

    def seconds(self, size: float) -> float:
        """Time of a message of `size` bytes."""
        return self.latency_seconds + size / self.bytes_a_second

    def slower(self, other: "Link") -> "Link":
        """The link that two of these make one after the other: the lower rate and the longer latency."""
        return Link(
            bytes_a_second=min(self.bytes_a_second, other.bytes_a_second),
            latency_seconds=max(self.latency_seconds, other.latency_seconds),
        )


class DeviceKind(Settings):
    """Devices that are interchangeable: equally fast, with the same memory and the same links."""

    name: str = Field(min_length=1, description="unique among the kinds, such as A100-80")
    count: int = Field(ge=1, description="devices of this kind")
    memory_bytes: int = Field(gt=0, description="bytes of one device that a training may use")
    per_node: int = Field(8, ge=1, description="devices of one machine, which `link` joins")
    link: Link = Field(description="between two devices of one machine")
    network: Link = Field(description="of one device to other machines")


class KindLink(Settings):
    """The link between the last device of one kind and the first of another, which are neighbours in a pipeline."""

    kinds: tuple[str, str] = Field(description="names, in the order of the pipeline")
    link: Link


class Fleet(Settings):
    """All devices of a training."""

    kinds: tuple[DeviceKind, ...] = Field(min_length=1, description="in the order in which an even split uses them")
    links: tuple[KindLink, ...] = Field((), description="measured: in the place of what follows from both networks")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [kind.name for kind in self.kinds]
        if len(set(names)) < len(names):
            raise ValueError(f"kinds {', '.join(names)}: each name must be unique")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds' names."""
        return tuple(kind.name for kind in self.kinds)

    def link(self, one: int, other: int) -> Link:
        """The link between neighbours of a pipeline, by the numbers of their kinds.

        Neighbours of one kind are taken to be in one machine, those of different kinds in two.
        """
        first, second = self.kinds[one], self.kinds[other]
        for measured in self.links:
            if set(measured.kinds) == {first.name, second.name}:
                return measured.link
        return first.link if one == other else first.network.slower(second.network)

    def ring_link(self, kinds: Collection[int], devices: int) -> Link:
        """The slowest link of a ring over `devices` devices of these kinds.

        A ring within one machine uses its link; any other passes through the network of all its kinds.
        """
        first, *others = (self.kinds[kind] for kind in sorted(kinds))
        if not others and devices <= first.per_node:
            return first.link
        slowest = first.network
        for kind in others:
            slowest = slowest.slower(kind.network)
        return slowest
