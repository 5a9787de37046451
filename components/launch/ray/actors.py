"""Actors of a Ray job: started where they fit, given tasks, and their results without Ray's wrappers."""

# ruff: noqa: TID253 - imported by the job's own program only
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from components.launch.ray.room import JOIN_SECONDS, await_room
from components.launch.ray.settings import RayActors
from components.shared.errors import JobError, TutelageError
from components.shared.log import say

ACTOR_RESTARTS = 3
WAIT_SECONDS = 1.0

Make = Callable[..., Any]
"""Starts an actor, given Ray's options."""

Task = tuple[Any, ...]


def maker(kind: type, *arguments: Any) -> Make:
    """What starts actors of a class with these arguments; an actor that ends is started again, and so are its tasks."""

    def make(**options: Any) -> Any:
        # Ray's type hints do not describe remote classes.
        remote = ray.remote(kind).options(max_restarts=ACTOR_RESTARTS, max_task_retries=ACTOR_RESTARTS, **options)
        return remote.remote(*arguments)

    return make


def local_actors(step: str, make: Make, wanted: RayActors, tasks: int) -> "deque[Any]":
    """Actors that run a local model: as many as are wanted, have a task and fit into the cluster, and at least one.

    Args:
        step: the step's name in the log.
        make: starts one.
        wanted: how many the settings ask for, and with what.
        tasks: how many tasks there are.

    Raises:
        SettingsError: no node has room for one.
    """
    join_seconds = JOIN_SECONDS if os.environ.get("RAY_ADDRESS") else 0.0
    cpus, gpus = wanted.cpus_per_actor, wanted.gpus_per_actor
    room = await_room(ray.nodes, cpus, gpus, join_seconds)
    if room < wanted.actors:
        say(step, f"Ray has room for {room} of {wanted.actors} actors")
    return deque(make(num_cpus=cpus, num_gpus=gpus) for _ in range(min(wanted.actors, room, max(tasks, 1))))


def actor_beside_driver(make: Make, tasks: int) -> "deque[Any]":
    """One actor on the driver's node, where the API key is, listed once for each task that it takes at a time.

    The window of requests belongs to the endpoint, not to an actor.
    """
    beside = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = make(num_cpus=0, max_concurrency=tasks, scheduling_strategy=beside)
    return deque([actor] * tasks)


def results(free: "deque[Any]", tasks: Iterable[Task], method: str, kept: str) -> Iterator[Any]:
    """The results of tasks, in the order in which they end; each goes to an actor that is free.

    Args:
        free: actors, each once for each task that it takes at a time.
        tasks: arguments of the actors' method.
        method: its name.
        kept: what is kept when an actor ends, for the error.

    Raises:
        TutelageError: a task's own, or JobError when an actor ended.
    """
    waiting, in_flight = deque(tasks), dict[Any, Any]()
    while waiting or in_flight:
        while waiting and free:
            actor = free.popleft()
            in_flight[getattr(actor, method).remote(*waiting.popleft())] = actor
        # A bounded wait, so that signals are handled.
        ready, _ = ray.wait(list(in_flight), num_returns=1, timeout=WAIT_SECONDS)
        for reference in ready:
            free.append(in_flight.pop(reference))
            yield result_of(reference, kept)


def result_of(reference: Any, kept: str) -> Any:
    """The value that a task returned. Raises the task's error without Ray's wrapper; `kept` is as in `results`."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, TutelageError) else error from None
    except RayError as error:
        raise JobError(
            f"a Ray actor ended: {(str(error).splitlines() or [''])[0]}",
            remedy=f"usually it ran out of memory: use fewer actors, a smaller batch, or more memory; then run again: "
            f"{kept}",
        ) from error
