"""Assigns the missing slices to Ray actors, and counts what they return."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from components.launch.ray.actors import maker, results
from components.models.rollouts.failed_rollouts import FailedRollouts
from components.models.rollouts.model_actors import model_actors
from components.models.rollouts.problems import Problem, kinds_of
from components.probe.drawer import Drawer, DrawnSlice
from components.probe.results import ProbedShards
from components.probe.settings import ProbeAssignment
from components.shared.log import Progress, say
from components.shared.text.counted import counted

Slice = tuple[int, list[Problem]]


class Drive:
    """The missing slices of one assignment, and the actors that draw them."""

    def __init__(self, assignment: ProbeAssignment, missing: Sequence[Slice], shards: ProbedShards) -> None:
        self.assignment, self.settings = assignment, assignment.settings
        self.missing = missing
        self.kinds = kinds_of(problem for _, part in missing for problem in part)
        self.failures = FailedRollouts("probe", self.settings.failed_share, shards.discard)
        self.progress = Progress("probe", "problems", sum(len(part) for _, part in missing))
        self.kept = self.drawn = self.refused = 0

    def run(self) -> None:
        """Draw all missing slices. Raises TutelageError."""
        for done in results(self._actors(), self.missing, "draw_slice", "the rollouts so far are kept"):
            self._note(done)
        self.failures.judge()
        self.progress.finish()
        say("probe", f"{counted(self.drawn, 'rollout')} drawn, {self.kept:,} kept from before")

    def _actors(self) -> "deque[Any]":
        settings = self.settings
        return model_actors(
            "probe",
            maker(Drawer, self.assignment.model_dump_json(), self.kinds, settings.cpus_per_actor),
            settings.generator,
            settings,
            tasks=len(self.missing),
            requests_per_task=settings.rows_per_shard * settings.rule.round,
        )

    def _note(self, done: DrawnSlice) -> None:
        """Count a finished slice. Raises GenerationError."""
        self.drawn, self.kept = self.drawn + done.drawn, self.kept + done.kept
        if done.refused and not self.refused:
            say("probe", f"problems that the model's chat template refuses are dropped; the first: {done.refusal}")
        self.refused += done.refused
        self.progress.advance(done.problems)
        self.failures.note(done.index, done.drawn + done.kept, done.failed, done.reason)
