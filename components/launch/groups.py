"""Groups of nodes of different kinds, over which one training runs."""

from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from components.launch.accelerators import ACCELERATORS, CPU
from components.launch.pods import Fields, LabelKey, LabelValue, Pods, Quantity
from components.shared.settings import Settings

Bytes = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?[KMGT]i?$")]
"""A size in Kubernetes' notation: 24G, 80Gi."""
UNITS = {"K": 1, "M": 2, "G": 3, "T": 4}


class DevicePrice(Settings):
    """What a device costs while a job holds it."""

    per_hour: float = Field(ge=0, description="for one device and hour")
    currency: str = Field("USD", min_length=1, description="ISO 4217 code")


class GroupPods(Settings):
    """What the pods of a group have in place of those of the job, as far as it is set."""

    cpu: Quantity | None = Field(None, description="CPU cores that each pod requests")
    cpu_limit: Quantity | None = Field(None, description="CPU cores that each pod may use")
    memory: Quantity | None = Field(None, description="memory that each pod requests and may not exceed")
    gpu_resource: str | None = Field(
        None, min_length=1, description="resource name of a GPU; each pod requests one for each process"
    )
    shared_memory: Quantity | None = Field(None, description="size of /dev/shm")
    scratch: Quantity | None = Field(None, description="size limit of the pod's scratch volume, /tmp")
    tolerations: tuple[Fields, ...] | None = Field(
        None, description="taints that the pods tolerate, in the Kubernetes API's form, in place of the job's"
    )


@dataclass(frozen=True)
class EqualNodes:
    """Equal nodes of a job: how many, the processes on each, and the settings of their pods.

    `least` of them are enough to continue with after a loss.
    """

    nodes: int
    processes_per_node: int
    pods: Pods
    least: int


class NodeGroup(Settings):
    """Equal nodes among others: each process has a device of this kind."""

    nodes: int = Field(ge=1, description="machines of this group")
    least_nodes: int | None = Field(
        None,
        ge=0,
        description="the fewest machines of this group on which the training continues after it lost some that are not "
        "replaced; 0: without the group; left out: all of them",
    )
    processes_per_node: int | None = Field(
        None, ge=1, description="processes on each of them, one for each device; left out: the job's"
    )
    accelerator: str = Field(
        min_length=1,
        description=f"kind of the devices, with published speed and memory: {', '.join(ACCELERATORS)}; another name, "
        "such as CPU, needs speed and memory",
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        {}, description="labels that the nodes of this group must have, in addition to the job's"
    )
    pods: GroupPods = Field(GroupPods(), description="on a cluster: what its pods have in place of the job's")
    speed: float | None = Field(
        None,
        gt=0,
        description="tokens a second that one device trains, both passes, as shares.jsonl of an earlier training of "
        "this model has it (tokens_a_second); left out: by the published operations of the accelerator. For plans: a "
        "training measures",
    )
    memory: Bytes | None = Field(
        None, description="memory of one device, such as 24G or 22Gi; left out: that of the accelerator"
    )
    price: DevicePrice | None = Field(None, description="of one device, for the cost in a plan; left out: none")

    @property
    def memory_bytes(self) -> int:
        """Bytes of one device."""
        return parse_bytes(self.memory) if self.memory else ACCELERATORS[self.accelerator].memory

    def equal_nodes(self, processes_per_node: int, pods: Pods) -> EqualNodes:
        """Its nodes, with the processes and the pods of the job where it has none of its own."""
        processes = self.processes_per_node or processes_per_node
        own = self.pods.model_dump(exclude_none=True)
        own |= {"node_selector": {**pods.node_selector, **self.node_selector}}
        own |= {"gpus": 0 if self.accelerator == CPU else processes}
        least = self.nodes if self.least_nodes is None else self.least_nodes
        return EqualNodes(self.nodes, processes, pods.model_copy(update=own), least)

    @model_validator(mode="after")
    def _least_is_among_nodes(self) -> Self:
        require_fewer(self.least_nodes, self.nodes)
        return self

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        absent = [name for name in ("speed", "memory") if getattr(self, name) is None]
        if self.accelerator not in ACCELERATORS and absent:
            raise ValueError(
                f"accelerator {self.accelerator!r} has no published numbers here, so the group needs "
                f"{' and '.join(absent)}; allowed without: {', '.join(ACCELERATORS)}"
            )
        return self


def require_fewer(least: int | None, nodes: int) -> None:
    """Raises ValueError where a training would need more nodes to continue than to begin."""
    if least is not None and least > nodes:
        raise ValueError(f"least_nodes {least} is more than nodes, {nodes}: at most {nodes} are allowed")


def parse_bytes(text: str) -> int:
    """Bytes of a size in Kubernetes' notation: 24G is 24 · 10⁹, 24Gi is 24 · 2³⁰, plain digits are bytes."""
    number, unit = text.rstrip("KMGTi"), text.lstrip("0123456789.")
    base = 1024 if unit.endswith("i") else 1000
    return int(float(number) * base ** UNITS.get(unit[:1], 0))
