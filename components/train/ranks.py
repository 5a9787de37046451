"""The processes that train together."""

import os
from dataclasses import dataclass

VARIABLES = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
"""torchrun's variables, and their values in a process that runs without it."""


@dataclass(frozen=True)
class Ranks:
    """This process among all, as torchrun numbers them."""

    rank: int
    world: int
    local_rank: int

    @classmethod
    def from_environment(cls) -> "Ranks":
        """Read torchrun's variables; a process without them is alone."""
        read = [int(os.environ.get(name, default)) for name, default in VARIABLES.items()]
        return cls(*read)

    @property
    def is_main(self) -> bool:
        """Whether this is the first process of all."""
        return self.rank == 0

    @property
    def is_local_main(self) -> bool:
        """Whether this is the first process of its machine."""
        return self.local_rank == 0
