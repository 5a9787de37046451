"""Settings of the actors of a Ray job."""

from typing import ClassVar

from pydantic import Field

from components.launch.job import Launch
from components.shared.settings import Settings


class RayActors(Settings):
    """How many actors ask the models, with how much of a node each, and what runs their job.

    None of it decides what is made.
    """

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"actors", "cpus_per_actor", "gpus_per_actor", "launch"})

    actors: int = Field(2, ge=1, description="Ray actors that run a local model; an endpoint always has one")
    cpus_per_actor: int = Field(1, ge=1, description="CPU cores of one actor")
    gpus_per_actor: int = Field(0, ge=0, description="GPUs of one actor; vllm shards its model over them")
    launch: Launch = Field(Launch(), description="what runs the job")

    @property
    def cores(self) -> int:
        """CPU cores of all actors."""
        return self.actors * self.cpus_per_actor
