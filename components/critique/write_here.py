"""Critiques few rollouts in this process, one slice after the other: to start Ray for them would take longer."""

import time

from components.critique.assigned import arguments_of, assigned
from components.critique.combine import combine
from components.critique.critic import Critic
from components.critique.settings import CritiqueAssignment
from components.critique.step import STEP
from components.launch.hand_back.files import JobResult
from components.models.rollouts.failed_rollouts import FailedRollouts


def write_here(assignment: CritiqueAssignment) -> JobResult:
    """Do what the job does: make the missing slices, and return what all of them say.

    Raises what `Critic`, `FailedRollouts` and `combine` raise.
    """
    began, work = time.monotonic(), assigned(assignment)
    missing = work.missing()
    failures = FailedRollouts(STEP.name, assignment.settings.failed_share, work.shards.discard)
    critic = Critic(*arguments_of(assignment, missing))
    try:
        for part in missing:
            done = critic.write_slice(*part)
            failures.note(done.index, done.asked, done.failed, done.reason)
    finally:
        critic.close()
    failures.judge()
    return combine(assignment, work.chosen, len(work.parts), time.monotonic() - began)
