"""The actor: the teacher diagnoses rollouts and corrects the wrong ones, and all of it is checked."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from components.critique.attempts import AttemptedProblem
from components.critique.critiqued_attempt import CritiquedAttempt, WrittenCritiques
from components.critique.results import CritiqueShards
from components.critique.settings import CritiqueAssignment
from components.models.generators.generator import ChatRequest
from components.models.rollouts.draw_rollouts import Outcomes, RolloutDrawer
from components.models.rollouts.fates import FAILED
from components.models.rollouts.kept_rollouts import KeptRollouts
from components.models.rollouts.shared_model import SharedModel
from components.rewards.checks.rollout_judge import RolloutJudge
from components.rewards.checks.shared_judge import SharedJudge
from components.shared.store.open_store import open_store
from components.shared.thought import answer_of


class CritiquedSlice(BaseModel):
    """A finished slice: its problems, how many diagnoses were asked for and how many failed, and why the first did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    problems: int
    asked: int
    failed: int
    reason: str = ""


class Critic:
    """Gets diagnoses and corrections from the teacher, which is opened for the first one that is missing.

    Args:
        assignment: the job's CritiqueAssignment as JSON.
        kinds: of the problems' checks.
        threads: CPU threads for a local model.
    """

    def __init__(self, assignment: str, kinds: Sequence[str], threads: int) -> None:
        parsed = CritiqueAssignment.model_validate_json(assignment)
        self.settings = settings = parsed.settings
        store = open_store(parsed.root)
        self.shards = CritiqueShards(store.at(parsed.address))
        self.teacher = SharedModel(settings.teacher, settings.teacher.model, threads)
        self.diagnoses, self.repairs = (
            RolloutDrawer(self.teacher, sampling, KeptRollouts(store.at(address)))
            for sampling, address in (
                (settings.diagnosis_sampling, parsed.diagnoses),
                (settings.repair_sampling, parsed.repairs),
            )
        )
        self.judge = SharedJudge(kinds, settings.code_limits, settings.check_threads)

    def write_slice(self, index: int, problems: Sequence[AttemptedProblem]) -> CritiquedSlice:
        """Get what a slice's rollouts lack, check it, and write the slice.

        Raises:
            InputError, SandboxError, SettingsError: a check cannot run here.
            GenerationError, ModelError: the teacher cannot be opened.
        """
        judge = self.judge.open()
        critiqued = self._attempts(judge, problems)
        span = problems[0].problem.key, problems[-1].problem.key
        asked = [one.diagnosis_request(self.settings) for one in critiqued]
        outcomes = _drawn(self.diagnoses, span, asked)
        for one, request in zip(critiqued, asked, strict=True):
            one.note_diagnosis(outcomes[request.key])
        self._repair(judge, span, critiqued)
        self.shards.write_slice(index, [self._written(one, critiqued) for one in problems])
        failures = [one.failure for one in critiqued if one.fate == FAILED]
        return CritiquedSlice(
            index=index,
            problems=len(problems),
            asked=len(critiqued),
            failed=len(failures),
            reason=next(iter(failures), ""),
        )

    def close(self) -> None:
        """Close the teacher and the checks."""
        self.judge.close()
        self.teacher.close()

    def _attempts(self, judge: RolloutJudge, problems: Sequence[AttemptedProblem]) -> list[CritiquedAttempt]:
        """The rollouts, each with a right solution of its problem: the one that the row came with, else bridge's."""
        own = [answer_of(one.problem.row.response).strip() for one in problems]
        # A data set may be wrong.
        verdicts = judge.verdicts([(one.problem.row, text) for one, text in zip(problems, own, strict=True)])
        return [
            CritiquedAttempt(one, attempt, text if passed else one.trace)
            for one, text, passed in zip(problems, own, verdicts, strict=True)
            for attempt in one.attempts
        ]

    def _repair(self, judge: RolloutJudge, span: tuple[str, str], critiqued: Sequence[CritiquedAttempt]) -> None:
        asked = [(one, request) for one in critiqued for request in one.repair_requests(self.settings)]
        outcomes = _drawn(self.repairs, span, [request for _, request in asked])
        texts = [one.repaired(outcomes[request.key]) for one, request in asked]
        whole = [(one.row, text) for (one, _), text in zip(asked, texts, strict=True) if text is not None]
        verdicts = iter(judge.verdicts(whole))
        for (one, request), text in zip(asked, texts, strict=True):
            one.note_repair(outcomes[request.key], text, None if text is None else next(verdicts))

    def _written(self, one: AttemptedProblem, critiqued: Sequence[CritiquedAttempt]) -> WrittenCritiques:
        own = [each for each in critiqued if each.one is one]
        return WrittenCritiques(
            row=one.problem.row,
            unsolved=one.unsolved,
            critiques=tuple(row for each in own for row in each.critiques(self.settings)),
            tokens_in=sum(each.tokens["tokens_in"] for each in own),
            tokens_out=sum(each.tokens["tokens_out"] for each in own),
        )


def _drawn(drawer: RolloutDrawer, span: tuple[str, str], requests: Sequence[ChatRequest]) -> Outcomes:
    """The outcomes of requests, by their keys: those that are kept, and the others drawn."""
    outcomes: Outcomes = {**drawer.kept.read(*span)}
    drawer.draw_missing(requests, outcomes)
    return outcomes
