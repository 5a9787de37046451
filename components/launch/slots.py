"""Slots for the jobs of one group: at most so many run at a time, whichever steps, pods or runs start them.

A slot is a lease in the store, `slots/GROUP/NUMBER/lease.json`: it is renewed while its holder works, and another step
takes it when that stops, so a pod that died gives its slot back after the lease's 90 s. Kubeflow has no limit for the
tasks of one run: `parallelism` belongs to loops of equal tasks, and a chain of `.after` ends with its first failure.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pydantic import Field

from components.shared.errors import LeaseError
from components.shared.log import say
from components.shared.settings import Settings
from components.shared.store.lease import hold, is_held
from components.shared.store.store import Store
from components.shared.text.counted import counted

PAUSE_SECONDS = 5.0
"""Between two looks for a free slot."""


class JobSlots(Settings):
    """How many jobs of a group run at a time."""

    group: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$", description="jobs of one group share the slots, in all runs"
    )
    count: int = Field(ge=1, description="most jobs of the group at a time; the others wait, without a limit of time")


@contextmanager
def slot(store: Store, slots: JobSlots | None, job: str, pause_seconds: float = PAUSE_SECONDS) -> Iterator[None]:
    """Hold one of the slots while the block runs; wait for it if none is free.

    Args:
        store: at the root that the jobs share.
        slots: of the job's group; None: no limit.
        job: its name, for the log.
        pause_seconds: between two looks.
    """
    with ExitStack() as stack:
        if slots is not None:
            _take(stack, store, slots, job, pause_seconds)
        yield


def _take(stack: ExitStack, store: Store, slots: JobSlots, job: str, pause_seconds: float) -> None:
    places = [store.at(f"slots/{slots.group}/{number}") for number in range(slots.count)]
    waiting = False
    while not any(_held(stack, place) for place in places):
        if not waiting:
            waiting = True
            say("launch", f"{job} waits for one of the {counted(slots.count, 'slot')} of {slots.group}")
        time.sleep(pause_seconds)


def _held(stack: ExitStack, place: Store) -> bool:
    """Whether a slot was free, and is held until the stack is closed."""
    if is_held(place):
        return False
    try:
        stack.enter_context(hold(place))
    except LeaseError:
        return False
    return True
