"""Actors of a Ray job that ask one model: as many as its files have room for, or one beside the driver."""

import math
from collections import deque
from typing import Any

from components.launch.ray.actors import Make, actor_beside_driver, local_actors
from components.launch.ray.settings import RayActors
from components.models.generators.generator import GeneratorSettings

WINDOWS_AHEAD = 3


def model_actors(
    step: str,
    make: Make,
    model: GeneratorSettings,
    wanted: RayActors,
    *,
    tasks: int,
    requests_per_task: int,
) -> "deque[Any]":
    """The actors; an endpoint's takes several tasks at a time, so that the window is full.

    Args:
        step: the step's name in the log.
        make: starts one.
        model: what the actors ask.
        wanted: how many actors the settings ask for, of a local model.
        tasks: how many tasks there are.
        requests_per_task: how many requests a task has in flight at most.

    Raises:
        SettingsError: no node has room for one.
    """
    if model.is_remote:
        return actor_beside_driver(make, math.ceil(WINDOWS_AHEAD * model.most_in_flight / requests_per_task) + 1)
    return local_actors(step, make, wanted, tasks)
