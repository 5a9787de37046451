"""Assigns the missing slices to Ray actors: first to those of the teacher, then to those of the student."""

# ruff: noqa: TID253 - imported by the job's own program only
from collections import deque
from collections.abc import Sequence
from typing import Any

import ray

from components.bridge.results import BridgeShards
from components.bridge.settings import BridgeAssignment
from components.bridge.trace_scorer import TraceScorer
from components.bridge.trace_writer import TraceWriter, WrittenSlice
from components.launch.ray.actors import Make, local_actors, maker, result_of, results
from components.models.rollouts.failed_rollouts import FailedRollouts
from components.models.rollouts.model_actors import model_actors
from components.models.rollouts.problems import Problem, kinds_of
from components.shared.log import Progress, say

KEPT = "the teacher's replies so far are kept"

BridgeSlice = tuple[int, list[Problem]]


class BridgeDrive:
    """The missing slices of one assignment, and the actors that make them."""

    def __init__(self, assignment: BridgeAssignment, parts: Sequence[BridgeSlice], shards: BridgeShards) -> None:
        self.assignment, self.settings, self.parts, self.shards = assignment, assignment.settings, parts, shards
        kinds = kinds_of(problem for _, part in parts for problem in part)
        self.arguments = (assignment.model_dump_json(), kinds, self.settings.cpus_per_actor)
        self.refused = 0

    def run(self) -> None:
        """Make all missing slices. Raises TutelageError."""
        # What the teacher wrote is read again at the end, so a slice without it is not finished.
        missing = [part for part in self.parts if part[0] not in self.shards.written()]
        if missing:
            self._write(missing)
        done = self.shards.done() - {index for index, _ in missing}
        if left := [part for part in self.parts if part[0] not in done]:
            self._score(left)

    def _write(self, missing: Sequence[BridgeSlice]) -> None:
        actors = self._teachers(maker(TraceWriter, *self.arguments), len(missing))
        failures = FailedRollouts("bridge", self.settings.failed_share, self.shards.discard)
        progress = Progress("bridge", "problems written", sum(len(part) for _, part in missing))
        for done in results(actors, missing, "write_slice", KEPT):
            self._note_refused(done)
            progress.advance(done.problems)
            failures.note(done.index, done.asked, done.failed, done.reason)
        failures.judge()
        progress.finish()
        # The student's actors need the room that these took; a model may have processes of its own, which `close` ends.
        for actor in set(actors):
            result_of(actor.close.remote(), KEPT)
            ray.kill(actor)

    def _score(self, left: Sequence[BridgeSlice]) -> None:
        actors = local_actors("bridge", maker(TraceScorer, *self.arguments), self.settings, len(left))
        progress = Progress("bridge", "problems chosen for", sum(len(part) for _, part in left))
        for done in results(actors, [(index,) for index, _ in left], "score_slice", KEPT):
            progress.advance(done.problems)
        progress.finish()

    def _teachers(self, make: Make, tasks: int) -> "deque[Any]":
        settings = self.settings
        return model_actors(
            "bridge",
            make,
            settings.teacher,
            settings,
            tasks=tasks,
            requests_per_task=settings.rows_per_shard,
        )

    def _note_refused(self, done: WrittenSlice) -> None:
        if done.refused and not self.refused:
            say("bridge", f"the teacher's chat template refuses problems; the first: {done.refusal}")
        self.refused += done.refused
