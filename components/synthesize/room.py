"""How many actors a Ray cluster has room for: one that has none would wait for ever, and its rows with it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.shared.errors import SettingsError

PATIENCE_SECONDS = 120.0
"""How long workers may take to join: a driver starts before them when the head was lost and made anew."""

Nodes = Sequence[Mapping[str, Any]]


def await_room(nodes: Callable[[], Nodes], cpus: int, gpus: int, patience_seconds: float) -> int:
    """As `room_for`, but nodes may still be joining. Raises SettingsError when there is no room in time."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return room_for(nodes(), cpus, gpus)
        except SettingsError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(1.0)


def room_for(nodes: Nodes, cpus: int, gpus: int) -> int:
    """Actors that fit at the same time, each whole on one node.

    Args:
        nodes: what `ray.nodes()` tells.
        cpus: CPU cores of one actor.
        gpus: GPUs of one actor.

    Raises:
        SettingsError: no node has room for one.
    """
    wanted = {name: each for name, each in (("CPU", cpus), ("GPU", gpus)) if each}
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if not wanted:
        return len(alive)
    fitting = sum(min(int(have.get(name, 0) // each) for name, each in wanted.items()) for have in alive)
    if fitting == 0:
        asked = " and ".join(f"{each} {name}" for name, each in wanted.items())
        most = ", ".join(f"{max((have.get(name, 0) for have in alive), default=0):.0f} {name}" for name in wanted)
        raise SettingsError(
            f"an actor wants {asked}; a node of Ray has {most} at most",
            rule="an actor runs on one machine",
            remedy="lower cpus_per_actor or gpus_per_actor, or give the Ray workers more",
        )
    return fitting
