"""How many actors fit into a Ray cluster: an actor that fits nowhere would stay pending forever."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.shared.errors import SettingsError

JOIN_SECONDS = 120.0
"""How long workers may take to join: when the head node was replaced, the driver starts before they are back."""

Nodes = Sequence[Mapping[str, Any]]


def await_room(nodes: Callable[[], Nodes], cpus: int, gpus: int, join_seconds: float) -> int:
    """As `room_for`, but waits for nodes to join. Raises SettingsError when there is no room in time."""
    deadline = time.monotonic() + join_seconds
    while True:
        try:
            return room_for(nodes(), cpus, gpus)
        except SettingsError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(1.0)


def room_for(nodes: Nodes, cpus: int, gpus: int) -> int:
    """How many actors fit at the same time, each on one node.

    Args:
        nodes: what `ray.nodes()` returns.
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
            f"an actor needs {asked}; the largest Ray node has {most}",
            rule="an actor runs on one node",
            remedy="lower cpus_per_actor or gpus_per_actor, or use larger Ray workers",
        )
    return fitting
