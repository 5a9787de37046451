"""What it takes to run one job on a cluster: the job, its kind, where, by whom, and the clock."""

from dataclasses import dataclass, field

from components.launch.clock import Clock
from components.launch.cluster import Cluster
from components.launch.job import Job
from components.launch.kind import Identity, Kind, resource_name


@dataclass(frozen=True)
class Launching:
    """One job of one kind on its way to its end."""

    kind: Kind
    job: Job
    cluster: Cluster
    identity: Identity
    clock: Clock = field(default_factory=Clock)

    @property
    def name(self) -> str:
        """The resource's name."""
        return resource_name(self.job)

    @property
    def title(self) -> str:
        """KIND NAMESPACE/NAME, for people."""
        return f"{self.kind.resource.kind} {self.cluster.namespace}/{self.name}"
