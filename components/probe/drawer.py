"""The actor: draws the rollouts of slices of problems, checks them, and writes the slices to the store."""

import threading
import time
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from components.models.generators.asked_model import open_asked
from components.models.generators.generator import ChatRequest, Generator, LocalGenerator, Reply, open_generator
from components.models.generators.read_reply import read_reply
from components.models.generators.settle_reply import needs_more_tokens
from components.probe.drawn_problem import DrawnProblem
from components.probe.kept_rollouts import DrawnRollout, KeptRollouts
from components.probe.problems import Problem
from components.probe.results import ProbedShards
from components.probe.settings import ProbeAssignment
from components.rewards.checks.rollout_judge import RolloutJudge
from components.shared.rows import Message
from components.shared.store.open_store import open_store

# After a kill, these many rollouts at most, or the rollouts of these many seconds, are drawn again.
PART_ROLLOUTS = 64
PART_SECONDS = 2.0

Outcomes = dict[str, DrawnRollout | Reply]
"""By the key of its request, a rollout, or the reply that was none: it failed, or the conversation was refused."""

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
        self.kept = KeptRollouts(store.at(self.assignment.rollouts))
        self.shards = ProbedShards(store.at(self.assignment.address))
        self.kinds, self.threads = kinds, threads
        self._judge: RolloutJudge | None = None
        self._generator: Generator | None = None
        self._local: LocalGenerator | None = None
        self._opening = threading.Lock()

    def draw_slice(self, index: int, problems: Sequence[Problem]) -> DrawnSlice:
        """Draw, round by round, what a slice's problems lack, and write the slice.

        Raises:
            InputError, SandboxError, SettingsError: a check cannot run here.
            GenerationError, ModelError: the model cannot be opened.
        """
        judge = self._open_judge()
        drawn = [DrawnProblem(problem, self.settings.rule) for problem in problems]
        kept = self.kept.read(problems[0].key, problems[-1].key)
        outcomes: Outcomes = {**kept}
        while wanted := [(one, requests) for one in drawn if (requests := tuple(one.next_requests()))]:
            self._draw_missing(wanted, outcomes)
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
        if self._judge is not None:
            self._judge.close()
        if self._generator is not None:
            self._generator.close()

    def _draw_missing(self, wanted: Wanted, outcomes: Outcomes) -> None:
        """Draw the requests that have no outcome yet, each once; equal conversations share them."""
        requests = {request.key: request for _, some in wanted for request in some if request.key not in outcomes}
        if requests:
            outcomes |= self._draw(requests)

    def _draw(self, requests: dict[str, ChatRequest]) -> Outcomes:
        """The outcomes of requests; rollouts are kept as they come."""
        generator, outcomes = self._open(), Outcomes()
        waiting: list[DrawnRollout] = []
        stored_at = time.monotonic()
        try:
            for reply in generator.answer(list(requests.values()), self.settings.sampling):
                outcomes[reply.key] = outcome = self._read(reply, requests[reply.key].messages)
                if isinstance(outcome, DrawnRollout):
                    waiting.append(outcome)
                if len(waiting) >= PART_ROLLOUTS or time.monotonic() - stored_at > PART_SECONDS:
                    self.kept.append(waiting)
                    waiting, stored_at = [], time.monotonic()
        finally:
            self.kept.append(waiting)
        return outcomes

    def _read(self, reply: Reply, messages: Sequence[Message]) -> DrawnRollout | Reply:
        def opened() -> bool:
            return self._local is not None and self._local.prompts.opens_thought(messages)

        text = None if reply.refused else read_reply(reply, opened)
        if text is None:
            return reply
        truncated = reply.finish == "length" or needs_more_tokens(reply)
        return DrawnRollout(
            key=reply.key,
            text=text,
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
            finish="length" if truncated else "stop",
        )

    def _open(self) -> Generator:
        """The model. Several threads may draw slices at once and share it."""
        with self._opening:
            if self._generator is None:
                if self.settings.asks_endpoint:
                    self._generator = open_generator(self.settings.generator)
                else:
                    import torch

                    torch.set_num_threads(self.threads)
                    self._generator = self._local = open_asked(self.settings.generator, self.assignment.model)
            return self._generator

    def _open_judge(self) -> RolloutJudge:
        with self._opening:
            if self._judge is None:
                self._judge = RolloutJudge(self.kinds, self.settings.code_limits, self.settings.check_threads)
            return self._judge


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
