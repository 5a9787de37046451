"""How many actors fit into a Ray cluster."""

from typing import Any

import pytest

from components.launch.ray.room import await_room, room_for
from components.shared.errors import SettingsError


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


@pytest.mark.parametrize(
    ("cpus", "gpus", "fitting"), [(1, 0, 6), (2, 0, 3), (3, 0, 1), (1, 1, 1), (0, 1, 1), (4, 0, 1)]
)
def test_each_actor_fits_on_one_node(cpus: int, gpus: int, fitting: int) -> None:
    nodes = [node(CPU=2.0), node(CPU=4.0, GPU=1.0), node(memory=1e9), node(alive=False, CPU=64.0)]
    assert room_for(nodes, cpus, gpus) == fitting


def test_no_room_reports_what_the_largest_node_has() -> None:
    with pytest.raises(SettingsError, match="an actor needs 8 CPU and 1 GPU; the largest Ray node has 4 CPU, 0 GPU"):
        room_for([node(CPU=2.0), node(CPU=4.0)], 8, 1)


def test_workers_may_join_after_the_driver_started() -> None:
    seen = iter([[node()], [node()], [node(), node(CPU=2.0)]])
    assert await_room(lambda: next(seen), 1, 0, join_seconds=10) == 2
    with pytest.raises(SettingsError, match="an actor needs"):
        await_room(lambda: [node()], 1, 0, join_seconds=0)
