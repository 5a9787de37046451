"""Chains of training stages, such as `sft@9 -> dpo@6`: nine epochs of SFT, and from its model six epochs of DPO."""

import re
from dataclasses import dataclass

ARROW = re.compile(r"\s*(?:->|→)\s*")
STAGE = re.compile(r"([a-z][a-z0-9]*)(?:@([1-9][0-9]*))?")
FORM = "METHOD@EPOCHS, and further stages after ->, such as sft@9 -> dpo@6"


@dataclass(frozen=True)
class ChainStage:
    """One stage: a method, by its name in the recipe, and its epochs; None where they follow from the compute."""

    method: str
    epochs: int | None

    def __str__(self) -> str:
        return self.method if self.epochs is None else f"{self.method}@{self.epochs}"


@dataclass(frozen=True)
class Chain:
    """Stages, each of which starts from the model of the one before it."""

    stages: tuple[ChainStage, ...]

    def __str__(self) -> str:
        return " -> ".join(map(str, self.stages))

    @property
    def prefixes(self) -> "list[Chain]":
        """The chains that this one starts with, the shortest first; not the chain itself."""
        return [Chain(self.stages[:length]) for length in range(1, len(self.stages))]

    @property
    def prefix(self) -> "Chain | None":
        """The chain without its last stage; None for a single stage."""
        return Chain(self.stages[:-1]) if len(self.stages) > 1 else None

    @property
    def last(self) -> ChainStage:
        """The last stage."""
        return self.stages[-1]

    @property
    def slug(self) -> str:
        """The chain as part of a name: `sft9-dpo6`."""
        return "-".join(f"{stage.method}{stage.epochs or ''}" for stage in self.stages)

    def ending_after(self, epochs: int) -> "Chain":
        """The chain with other epochs of its last stage."""
        return Chain((*self.stages[:-1], ChainStage(self.last.method, epochs)))


def parse_chain(text: str) -> Chain:
    """Read a chain. Raises ValueError with the part that is not a stage.

    Spaces around arrows do not matter; every stage but the last has its epochs.
    """
    stages = []
    for part in ARROW.split(text.strip()):
        match = STAGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not a stage; a chain is {FORM}")
        stages.append(ChainStage(match[1], int(match[2]) if match[2] else None))
    if open_ones := [stage.method for stage in stages[:-1] if stage.epochs is None]:
        raise ValueError(f"{open_ones[0]!r} lacks its epochs, as in {open_ones[0]}@3: only a last stage may do without")
    return Chain(tuple(stages))
