"""One problem while the teacher works on it: its traces, and the texts that could teach it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from components.bridge.settings import PROBLEM, TOKENS, TRACE, BridgeSettings
from components.models.generators.generator import ChatRequest, Reply
from components.models.rollouts.fates import FAILED, NO_VERDICT, PENDING, WRONG, fate_of
from components.models.rollouts.kept_rollouts import DrawnRollout
from components.models.rollouts.problems import Problem
from components.shared.outputs.digest import digest_value, hex_of
from components.shared.rollout_rows import BridgeText, Routed
from components.shared.rows import Message
from components.shared.text.fill import filled
from components.shared.thought import answer_of, split_thought

REQUEST_KEY = 8
REPEATED = "repeated"


class WrittenProblem(BaseModel):
    """A problem with what the teacher wrote, as it is stored between the job's two halves.

    `refusal` says why the teacher's chat template refuses it. `traces` counts the teacher's traces by what became of
    them, and `tokens_in` and `tokens_out` are those of all its replies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: Routed
    texts: tuple[BridgeText, ...]
    traces: dict[str, int]
    refusal: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(eq=False)
class TaughtProblem:
    """A problem, the teacher's correct trace once there is one, and the texts so far.

    `failures` are the reasons of traces that did not come. A rewriting that did not come costs only itself, since a
    teacher may refuse to rewrite.
    """

    problem: Problem
    trace: DrawnRollout | None = None
    refusal: str = ""
    texts: list[BridgeText] = field(default_factory=list)
    traces: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    tokens: Counter[str] = field(default_factory=Counter)

    @property
    def row(self) -> Routed:
        """The problem as route wrote it."""
        assert isinstance(self.problem.row, Routed)  # the job reads no other rows
        return self.problem.row

    @property
    def needs_trace(self) -> bool:
        """Whether the teacher is to try it again."""
        return self.trace is None and not self.refusal

    def note_trace(self, outcome: DrawnRollout | Reply, passed: bool | None) -> None:
        """Note a trace with its verdict; the first correct one is the problem's."""
        if isinstance(outcome, Reply):
            self._lose(outcome)
            return
        self._count(outcome)
        fate = fate_of(outcome, passed)
        self.traces["right" if fate == PENDING else fate] += 1
        if fate == PENDING:
            self.trace = outcome

    def rewritings(self, settings: BridgeSettings, cap: int) -> Iterator[ChatRequest]:
        """The requests for rewritings of the trace; their keys begin with that of the problem."""
        if self.trace is None:
            return
        parted = split_thought(self.trace.text)
        trace = "\n\n".join(filter(None, (parted.reasoning, parted.answer)))
        values = {PROBLEM: self.row.instruction, TRACE: trace, TOKENS: str(cap)}
        *before, _ = self.problem.messages
        messages = (*before, Message(role="user", content=filled(settings.prompt, values)))
        digest = hex_of(digest_value([[message.role, message.content] for message in messages]), REQUEST_KEY)
        for number in range(settings.candidates):
            yield ChatRequest(key=f"{self.problem.key}/{digest}/{number}", messages=messages)

    def note_rewriting(self, outcome: DrawnRollout | Reply, passed: bool | None) -> None:
        """Note a rewriting with its verdict; one that repeats an earlier one is of no use."""
        if isinstance(outcome, Reply):
            self.texts.append(BridgeText(origin="rewritten", text=outcome.text, passed=None, fate=FAILED))
            return
        self._count(outcome)
        text, fate = answer_of(outcome.text), fate_of(outcome, passed)
        if fate == PENDING and any(text == other.text for other in self.texts):
            fate = REPEATED
        self.texts.append(BridgeText(origin="rewritten", text=text, passed=passed, fate=fate))

    def written(self, reference_passed: bool | None) -> WrittenProblem:
        """The problem as it is stored; its own texts follow the rewritings, in the order in which they are taken."""
        texts = list(self.texts)
        if self.trace is not None:
            texts.append(BridgeText(origin="raw", text=answer_of(self.trace.text), passed=True, fate=PENDING))
        if reference := reference_of(self.row):
            fate = {True: PENDING, False: WRONG, None: NO_VERDICT}[reference_passed]
            texts.append(BridgeText(origin="reference", text=reference, passed=reference_passed, fate=fate))
        facts = {"traces": dict(self.traces), "refusal": self.refusal, **self.tokens}
        return WrittenProblem.model_validate({"row": self.row, "texts": tuple(texts), **facts})

    def _lose(self, reply: Reply) -> None:
        if reply.refused:
            self.refusal = reply.text
        else:
            self.traces[FAILED] += 1
            self.failures.append(reply.text)

    def _count(self, outcome: DrawnRollout) -> None:
        self.tokens.update(tokens_in=outcome.tokens_in, tokens_out=outcome.tokens_out)


def reference_of(row: Routed) -> str:
    """The reference solution that a row came with, without its reasoning; empty where it has none."""
    return answer_of(row.response).strip()
