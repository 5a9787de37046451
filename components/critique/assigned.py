"""What an assignment asks for: the rollouts to critique, in slices, and which of these are finished."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.critique.attempts import AttemptedProblem, ChosenAttempts, choose_attempts, slices_of_attempts
from components.critique.results import SFT, CritiqueShards
from components.critique.settings import CritiqueAssignment
from components.models.rollouts.problems import kinds_of
from components.shared.outputs.library import Library
from components.shared.rollout_rows import Probed
from components.shared.rows import SftRow

CritiqueSlice = tuple[int, list[AttemptedProblem]]


@dataclass(frozen=True)
class AssignedCritiques:
    """The chosen rollouts, in numbered slices."""

    chosen: ChosenAttempts
    parts: list[CritiqueSlice]
    shards: CritiqueShards

    def missing(self) -> list[CritiqueSlice]:
        """The slices that are not finished."""
        done = self.shards.done()
        return [part for part in self.parts if part[0] not in done]


def assigned(assignment: CritiqueAssignment) -> AssignedCritiques:
    """Read what an assignment asks for. Raises DamagedError and InputError for bad inputs."""
    library, settings = Library(assignment.root), assignment.settings
    chosen = choose_attempts(library.read_rows(library.load(assignment.probed), Probed), settings)
    wanted = {one.problem.row.id for one in chosen.problems}
    traces = library.read_rows(library.load(assignment.bridged), SftRow, SFT)
    chosen = chosen.with_traces({row.id: row.completion for row in traces if row.id in wanted})
    parts = list(slices_of_attempts(chosen.problems, settings.rows_per_shard))
    return AssignedCritiques(chosen, parts, CritiqueShards(library.at(assignment.address)))


def arguments_of(assignment: CritiqueAssignment, parts: Sequence[CritiqueSlice]) -> tuple[str, list[str], int]:
    """The arguments of an actor that makes these slices."""
    kinds = kinds_of(one.problem for _, part in parts for one in part)
    return assignment.model_dump_json(), kinds, assignment.settings.cpus_per_actor
