"""The actor: draws the rollouts of slices of problems, checks them, and writes the slices to the store."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from components.models.generators.generator import ChatRequest, Reply
from components.models.rollouts.draw_rollouts import Outcomes, RolloutDrawer
from components.models.rollouts.kept_rollouts import DrawnRollout, KeptRollouts
from components.models.rollouts.problems import Problem
from components.models.rollouts.shared_model import SharedModel
from components.probe.drawn_problem import DrawnProblem
from components.probe.results import ProbedShards
from components.probe.settings import ProbeAssignment
from components.rewards.checks.rollout_judge import RolloutJudge
from components.rewards.checks.shared_judge import SharedJudge
from components.shared.store.open_store import open_store

Wanted = Sequence[tuple[DrawnProblem, tuple[ChatRequest, ...]]]
"""A round: problems, and the rollouts that each is to get."""


class DrawnSlice(BaseModel):
    """A finished slice of problems: its rollouts, how many of them were kept from before, and what went wrong.

    `failed` counts rollouts that never came, `refused` problems that the model's chat template refuses; `reason` and
    `refusal` describe the first of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    problems: int
    drawn: int
    kept: int
    failed: int
    reason: str = ""
    refused: int = 0
    refusal: str = ""


class Drawer:
    """Draws rollouts with the model of an assignment, which is opened for the first one that is missing.

    The checks are opened before it, with the first slice: an error in an actor's constructor would lose its words.

    Args:
        assignment: the job's ProbeAssignment as JSON.
        kinds: of the problems' checks.
        threads: CPU threads for a local model.
    """

    def __init__(self, assignment: str, kinds: Sequence[str], threads: int) -> None:
        self.assignment = ProbeAssignment.model_validate_json(assignment)
        self.settings = self.assignment.settings
        store = open_store(self.assignment.root)
        self.shards = ProbedShards(store.at(self.assignment.address))
        self.model = SharedModel(self.settings.generator, self.assignment.model, threads)
        kept = KeptRollouts(store.at(self.assignment.rollouts))
        self.rollouts = RolloutDrawer(self.model, self.settings.sampling, kept)
        self.judge = SharedJudge(kinds, self.settings.code_limits, self.settings.check_threads)

    def draw_slice(self, index: int, problems: Sequence[Problem]) -> DrawnSlice:
        """Draw, round by round, what a slice's problems lack, and write the slice.

        Raises:
            InputError, SandboxError, SettingsError: a check cannot run here.
            GenerationError, ModelError: the model cannot be opened.
        """
        judge = self.judge.open()
        drawn = [DrawnProblem(problem, self.settings.rule) for problem in problems]
        kept = self.rollouts.kept.read(problems[0].key, problems[-1].key)
        outcomes: Outcomes = {**kept}
        while wanted := [(one, requests) for one in drawn if (requests := tuple(one.next_requests()))]:
            self.rollouts.draw_missing((request for _, some in wanted for request in some), outcomes)
            _settle(judge, wanted, outcomes)
        asked = [one for one in drawn if not one.refusal]
        refused = [one for one in drawn if one.refusal]
        self.shards.write(index, [one.row() for one in asked], [one.dropped() for one in refused])
        used = {key for one in asked for key in one.asked_keys()}
        failures = [reply.text for reply in outcomes.values() if isinstance(reply, Reply) and not reply.refused]
        return DrawnSlice(
            index=index,
            problems=len(problems),
            drawn=len(used - kept.keys()),
            kept=len(used & kept.keys()),
            failed=len(failures),
            reason=next(iter(failures), ""),
            refused=len(refused),
            refusal=next((f"problem {one.problem.row.id!r}: {one.refusal}" for one in refused), ""),
        )

    def close(self) -> None:
        """Close the model and the checks."""
        self.judge.close()
        self.model.close()


def _settle(judge: RolloutJudge, wanted: Wanted, outcomes: Outcomes) -> None:
    """Check a round's rollouts, and note them with their problems."""
    pairs = [(one, outcomes[request.key]) for one, requests in wanted for request in requests]
    tries = [(one, outcome) for one, outcome in pairs if isinstance(outcome, DrawnRollout)]
    verdicts = judge.verdicts([(one.problem.row, rollout.text) for one, rollout in tries])
    for (one, rollout), passed in zip(tries, verdicts, strict=True):
        one.add(rollout, passed)
    for one, outcome in pairs:
        if isinstance(outcome, Reply):
            one.lose(outcome)
