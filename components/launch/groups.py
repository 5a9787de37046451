"""Groups of nodes of different kinds, over which one training is planned."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from components.launch.accelerators import ACCELERATORS
from components.launch.pods import LabelKey, LabelValue
from components.shared.settings import Settings

NOT_STARTED = (
    "training jobs over groups are not started yet: only `tutelage plan` reads them"
    "\n    allowed: nodes and processes_per_node, for equal nodes"
    "\n    remedy: leave groups out to submit or compile; tutelage plan RECIPE --placement FILE shows the plan"
)
"""Why a placement with groups is refused wherever jobs would be started."""
Bytes = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?[KMGT]i?$")]
"""A size in Kubernetes' notation: 24G, 80Gi."""
UNITS = {"K": 1, "M": 2, "G": 3, "T": 4}


class DevicePrice(Settings):
    """What a device costs while a job holds it."""

    per_hour: float = Field(ge=0, description="for one device and hour")
    currency: str = Field("USD", min_length=1, description="ISO 4217 code")


class NodeGroup(Settings):
    """Equal nodes among others: each process has a device of this kind."""

    nodes: int = Field(ge=1, description="machines of this group")
    processes_per_node: int | None = Field(
        None, ge=1, description="processes on each of them, one for each device; left out: the job's"
    )
    accelerator: str = Field(
        min_length=1,
        description=f"kind of the devices, with published speed and memory: {', '.join(ACCELERATORS)}; another name, "
        "such as CPU, needs speed and memory",
    )
    node_selector: dict[LabelKey, LabelValue] = Field({}, description="labels that the nodes of this group must have")
    speed: float | None = Field(
        None,
        gt=0,
        description="tokens a second that one device trains, both passes, as shares.jsonl of an earlier training of "
        "this model has it (tokens_a_second); left out: by the published operations of the accelerator",
    )
    memory: Bytes | None = Field(
        None, description="memory of one device, such as 24G or 22Gi; left out: that of the accelerator"
    )
    price: DevicePrice | None = Field(None, description="of one device, for the cost in a plan; left out: none")

    @property
    def memory_bytes(self) -> int:
        """Bytes of one device."""
        return parse_bytes(self.memory) if self.memory else ACCELERATORS[self.accelerator].memory

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        absent = [name for name in ("speed", "memory") if getattr(self, name) is None]
        if self.accelerator not in ACCELERATORS and absent:
            raise ValueError(
                f"accelerator {self.accelerator!r} has no published numbers here, so the group needs "
                f"{' and '.join(absent)}; allowed without: {', '.join(ACCELERATORS)}"
            )
        return self


def parse_bytes(text: str) -> int:
    """Bytes of a size in Kubernetes' notation: 24G is 24 · 10⁹, 24Gi is 24 · 2³⁰, plain digits are bytes."""
    number, unit = text.rstrip("KMGTi"), text.lstrip("0123456789.")
    base = 1024 if unit.endswith("i") else 1000
    return int(float(number) * base ** UNITS.get(unit[:1], 0))
