"""Assigns the missing slices to Ray actors, and counts what they return."""

# ruff: noqa: TID253 - imported by the job's own program only
import math
import os
from collections import deque
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from components.launch.ray.room import JOIN_SECONDS, await_room
from components.probe.drawer import Drawer, DrawnSlice
from components.probe.failures import FailedRollouts
from components.probe.problems import Problem, kinds_of
from components.probe.results import ProbedShards
from components.probe.settings import ProbeAssignment
from components.shared.errors import JobError, TutelageError
from components.shared.log import Progress, say
from components.shared.text.counted import counted

WINDOWS_AHEAD = 3
ACTOR_RESTARTS = 3
WAIT_SECONDS = 1.0

Slice = tuple[int, list[Problem]]


class Drive:
    """The missing slices of one assignment, and the actors that draw them."""

    def __init__(self, assignment: ProbeAssignment, missing: Sequence[Slice], shards: ProbedShards) -> None:
        self.assignment, self.settings = assignment, assignment.settings
        self.missing = deque(missing)
        self.kinds = kinds_of(problem for _, part in missing for problem in part)
        self.failures = FailedRollouts(shards, self.settings.failed_share)
        self.progress = Progress("probe", "problems", sum(len(part) for _, part in missing))
        self.kept = self.drawn = self.refused = 0

    def run(self) -> None:
        """Draw all missing slices. Raises TutelageError."""
        free = self._remote_actor() if self.settings.asks_endpoint else self._local_actors()
        in_flight: dict[Any, Any] = {}
        while self.missing or in_flight:
            while self.missing and free:
                actor = free.popleft()
                in_flight[actor.draw_slice.remote(*self.missing.popleft())] = actor
            # A bounded wait, so that signals are handled.
            ready, _ = ray.wait(list(in_flight), num_returns=1, timeout=WAIT_SECONDS)
            for reference in ready:
                free.append(in_flight.pop(reference))
                self._note(_result(reference))
        self.failures.judge()
        self.progress.finish()
        say("probe", f"{counted(self.drawn, 'rollout')} drawn, {self.kept:,} kept from before")

    def _remote_actor(self) -> "deque[Any]":
        """One actor on the driver's node, where the API key is; it takes several slices, so that the window is full."""
        at_once = self.settings.rows_per_shard * self.settings.rule.round
        tasks = math.ceil(WINDOWS_AHEAD * self.settings.generator.most_in_flight / at_once) + 1
        beside = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = self._actor(num_cpus=0, max_concurrency=tasks, scheduling_strategy=beside)
        return deque([actor] * tasks)

    def _local_actors(self) -> "deque[Any]":
        settings = self.settings
        join_seconds = JOIN_SECONDS if os.environ.get("RAY_ADDRESS") else 0.0
        room = await_room(ray.nodes, settings.cpus_per_actor, settings.gpus_per_actor, join_seconds)
        if room < settings.actors:
            say("probe", f"Ray has room for {room} of {settings.actors} actors")
        wanted = {"num_cpus": settings.cpus_per_actor, "num_gpus": settings.gpus_per_actor}
        return deque(self._actor(**wanted) for _ in range(min(settings.actors, room, len(self.missing))))

    def _actor(self, **options: Any) -> Any:
        # Ray's type hints do not describe remote classes.
        remote = ray.remote(Drawer).options(max_restarts=ACTOR_RESTARTS, max_task_retries=ACTOR_RESTARTS, **options)
        return remote.remote(self.assignment.model_dump_json(), self.kinds, self.settings.cpus_per_actor)

    def _note(self, done: DrawnSlice) -> None:
        """Count a finished slice. Raises GenerationError."""
        self.drawn, self.kept = self.drawn + done.drawn, self.kept + done.kept
        if done.refused and not self.refused:
            say("probe", f"problems that the model's chat template refuses are dropped; the first: {done.refusal}")
        self.refused += done.refused
        self.progress.advance(done.problems)
        self.failures.note(done)


def _result(reference: Any) -> DrawnSlice:
    """The value that a task returned. Raises the task's error without Ray's wrapper."""
    try:
        done: DrawnSlice = ray.get(reference)
        return done
    except RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, TutelageError) else error from None
    except RayError as error:
        raise JobError(
            f"a Ray actor ended: {(str(error).splitlines() or [''])[0]}",
            remedy="usually it ran out of memory: use fewer actors, a smaller batch, or more memory; "
            "then run again: the rollouts so far are kept",
        ) from error
