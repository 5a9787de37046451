"""Assigns the missing slices to Ray actors."""

from collections.abc import Sequence

from components.critique.assigned import CritiqueSlice, arguments_of
from components.critique.critic import Critic
from components.critique.results import CritiqueShards
from components.critique.settings import CritiqueAssignment
from components.critique.step import STEP
from components.launch.ray.actors import maker, results
from components.models.rollouts.failed_rollouts import FailedRollouts
from components.models.rollouts.model_actors import model_actors
from components.shared.log import Progress


def critique_slices(assignment: CritiqueAssignment, missing: Sequence[CritiqueSlice], shards: CritiqueShards) -> None:
    """Make the missing slices. Raises TutelageError."""
    settings = assignment.settings
    actors = model_actors(
        STEP.name,
        maker(Critic, *arguments_of(assignment, missing)),
        settings.teacher,
        settings,
        tasks=len(missing),
        requests_per_task=settings.rows_per_shard,
    )
    failures = FailedRollouts(STEP.name, settings.failed_share, shards.discard)
    progress = Progress(STEP.name, "problems critiqued", sum(len(part) for _, part in missing))
    for done in results(actors, missing, "write_slice", "the teacher's replies so far are kept"):
        progress.advance(done.problems)
        failures.note(done.index, done.asked, done.failed, done.reason)
    failures.judge()
    progress.finish()
