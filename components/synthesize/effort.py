"""What each attempt at the job took: stored at the address, so that attempts that were killed count too."""

import uuid

from pydantic import BaseModel, ConfigDict

from components.models.generators.generator import Usage
from components.shared.rows import Origin
from components.shared.store.store import Store


class Effort(BaseModel):
    """One origin's share: requests, wall-clock seconds from the first to the last reply, and the slots' time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = 0
    retries: int = 0
    truncated: int = 0
    control_text: int = 0
    seconds: float = 0.0
    slots: int = 0
    busy_seconds: float = 0.0
    slot_seconds: float = 0.0

    def plus(self, other: "Effort") -> "Effort":
        """The sum of both; of the slots, the larger number."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in Effort.model_fields}
        return Effort(**{**sums, "slots": max(self.slots, other.slots)})

    @property
    def per_second(self) -> float:
        """Replies a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def utilisation(self) -> float:
        """Share of the slots' time that was used, 0 to 1."""
        return self.busy_seconds / self.slot_seconds if self.slot_seconds else 0.0


class AttemptEffort(BaseModel):
    """One attempt at the job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = 0.0
    efforts: dict[Origin, Effort] = {}


class AttemptFile:
    """This attempt's file at the address, rewritten as the work proceeds."""

    def __init__(self, store: Store) -> None:
        self.store, self.name = store, f"attempts/{uuid.uuid4().hex}.json"

    def write(self, attempt: AttemptEffort) -> None:
        """Write the attempt so far."""
        self.store.write(self.name, attempt.model_dump_json().encode())


def effort_of(usages: list[Usage], seconds: float) -> Effort:
    """One origin's effort from the usages of all its actors."""
    return Effort(
        requests=sum(usage.requests for usage in usages),
        retries=sum(usage.retries for usage in usages),
        truncated=sum(usage.truncated for usage in usages),
        control_text=sum(usage.control_text for usage in usages),
        seconds=seconds,
        slots=sum(usage.slots for usage in usages),
        busy_seconds=sum(usage.busy_seconds for usage in usages),
        slot_seconds=sum(usage.slots * usage.wall_seconds for usage in usages),
    )


def all_attempts(store: Store) -> list[AttemptEffort]:
    """What the attempts so far took."""
    return [AttemptEffort.model_validate_json(store.read(entry.key)) for entry in list(store.list("attempts/"))]


def total_effort(attempts: list[AttemptEffort], origin: Origin) -> Effort:
    """One origin's effort over all attempts."""
    total = Effort()
    for attempt in attempts:
        total = total.plus(attempt.efforts.get(origin, Effort()))
    return total
