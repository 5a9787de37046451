"""The actor of the first half: the teacher solves problems and rewrites its solutions, and all of them are checked."""

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

from components.bridge.results import BridgeShards
from components.bridge.settings import BridgeAssignment
from components.bridge.taught_problem import TaughtProblem, WrittenProblem, reference_of
from components.models.generators.generator import ChatRequest, Reply
from components.models.rollouts.draw_rollouts import Outcomes, RolloutDrawer
from components.models.rollouts.kept_rollouts import DrawnRollout, KeptRollouts
from components.models.rollouts.problems import Problem
from components.models.rollouts.shared_model import SharedModel
from components.rewards.checks.rollout_judge import RolloutJudge
from components.rewards.checks.shared_judge import SharedJudge
from components.shared.store.open_store import open_store

Note = Callable[[TaughtProblem, DrawnRollout | Reply, bool | None], None]


class WrittenSlice(BaseModel):
    """A finished slice: its problems, how many traces were asked for and how many failed, and why the first did.

    `refused` counts problems that the teacher's chat template refuses; `refusal` describes the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    problems: int
    asked: int
    failed: int
    reason: str = ""
    refused: int = 0
    refusal: str = ""


class TraceWriter:
    """Gets traces and rewritings from the teacher, which is opened for the first one that is missing.

    Args:
        assignment: the job's BridgeAssignment as JSON.
        kinds: of the problems' checks.
        threads: CPU threads for a local model.
    """

    def __init__(self, assignment: str, kinds: Sequence[str], threads: int) -> None:
        self.assignment = BridgeAssignment.model_validate_json(assignment)
        self.settings = settings = self.assignment.settings
        store = open_store(self.assignment.root)
        self.shards = BridgeShards(store.at(self.assignment.address))
        self.teacher = SharedModel(settings.teacher, settings.teacher.model, threads)
        self.traces, self.rewritings = (
            RolloutDrawer(self.teacher, sampling, KeptRollouts(store.at(address)))
            for sampling, address in (
                (settings.trace_sampling, self.assignment.traces),
                (settings.rewrite_sampling, self.assignment.rewritings),
            )
        )
        self.judge = SharedJudge(kinds, settings.code_limits, settings.check_threads)

    def write_slice(self, index: int, problems: Sequence[Problem]) -> WrittenSlice:
        """Get what a slice's problems lack, check it, and write the slice.

        Raises:
            InputError, SandboxError, SettingsError: a check cannot run here.
            GenerationError, ModelError: the teacher cannot be opened.
        """
        judge = self.judge.open()
        taught = [TaughtProblem(problem) for problem in problems]
        first, last = problems[0].key, problems[-1].key
        outcomes: Outcomes = {**self.traces.kept.read(first, last)}
        for number in range(self.settings.traces):
            asked = [(one, one.problem.request(number)) for one in taught if one.needs_trace]
            _ask(self.traces, judge, asked, outcomes, TaughtProblem.note_trace)
        rewritings = [(one, each) for one in taught for each in one.rewritings(self.settings, self.assignment.cap)]
        outcomes = {**self.rewritings.kept.read(first, last)}
        _ask(self.rewritings, judge, rewritings, outcomes, TaughtProblem.note_rewriting)
        self.shards.write_texts(index, _written(judge, taught))
        return _done(index, taught)

    def close(self) -> None:
        """Close the teacher and the checks."""
        self.judge.close()
        self.teacher.close()


def _ask(
    drawer: RolloutDrawer,
    judge: RolloutJudge,
    asked: Sequence[tuple[TaughtProblem, ChatRequest]],
    outcomes: Outcomes,
    note: Note,
) -> None:
    """Get the outcomes of requests, check those that are texts, and note all with their problems, in order."""
    drawer.draw_missing((request for _, request in asked), outcomes)
    got = [(one, outcomes[request.key]) for one, request in asked]
    texts = [(one.row, outcome.text) for one, outcome in got if isinstance(outcome, DrawnRollout)]
    verdicts = iter(judge.verdicts(texts))
    for one, outcome in got:
        note(one, outcome, next(verdicts) if isinstance(outcome, DrawnRollout) else None)


def _written(judge: RolloutJudge, taught: Sequence[TaughtProblem]) -> list[WrittenProblem]:
    """The problems with their reference solutions, which are checked too: a data set may be wrong."""
    verdicts = judge.verdicts([(one.row, reference_of(one.row)) for one in taught])
    return [one.written(passed) for one, passed in zip(taught, verdicts, strict=True)]


def _done(index: int, taught: Sequence[TaughtProblem]) -> WrittenSlice:
    failures = [reason for one in taught for reason in one.failures]
    refused = [one for one in taught if one.refusal]
    return WrittenSlice(
        index=index,
        problems=len(taught),
        asked=sum(one.traces.total() for one in taught),
        failed=len(failures),
        reason=next(iter(failures), ""),
        refused=len(refused),
        refusal=next((f"problem {one.row.id!r}: {one.refusal}" for one in refused), ""),
    )
