"""Rows about the rollouts of problems: what a model tried, where its problems are sent, and what it learns from."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from components.shared.rows import Labelled, Row


class Rollout(BaseModel):
    """One try of a model at a problem: what it wrote, its reasoning in tags, and whether the answer is right.

    `passed` is None without a verdict, because the check itself failed. `finish` is `length` where max_tokens ended it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    finish: Literal["stop", "length"] = "stop"
    passed: bool | None


class Probed(Labelled):
    """A problem with a model's rollouts, in the order in which they were drawn.

    `tries` are the rollouts with a verdict, `successes` those that passed; `no_verdict` rollouts could not be checked,
    and `failed` ones never came. `lengths` are tokens, `truncated` counts rollouts that max_tokens ended. `low` and
    `high` bound the pass rate (Wilson, 95 %). `decided` is False where too few verdicts came for the probe's rule.
    """

    content: ClassVar[str] = "probe/1"

    tries: int
    successes: int
    no_verdict: int = 0
    failed: int = 0
    lengths: tuple[int, ...]
    truncated: int
    low: float
    high: float
    decided: bool
    rollouts: tuple[Rollout, ...]

    @property
    def pass_rate(self) -> float:
        """The share of tries that passed; 0 without any."""
        return self.successes / self.tries if self.tries else 0.0


class Routed(Labelled):
    """A problem that is learnt from, with the tries that decided how, and its pool: hard, mixed or easy."""

    content: ClassVar[str] = "routed/1"

    tries: int
    successes: int
    pool: str


class StepLikelihood(BaseModel):
    """How a model finds one step of a text: its tokens, their mean rank (clipped) and mean surprisal in nats."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tokens: int
    rank: float
    nll: float


class BridgeText(BaseModel):
    """One text that could teach a student a problem.

    `origin` is what it is: the teacher's trace rewritten, its raw trace, or the reference solution that the row came
    with. `passed` is the verdict of the problem's check, None without one. `fate` says what became of it: `chosen`,
    `spare` (good, but another one was chosen), or why it was not good enough.

    The student's measurements are None where it was not asked: `tokens` (with the end token), the means over them of
    rank (clipped) and surprisal `nll` in nats, `rsr` their ratio (Rank-Surprisal Ratio, arXiv 2601.14249; lower suits
    the student better), and the same of each step. `finished` of `finishes` tries went on from its first steps to the
    right answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    origin: Literal["rewritten", "raw", "reference"]
    text: str
    passed: bool | None
    fate: str
    tokens: int | None = None
    rank: float | None = None
    nll: float | None = None
    rsr: float | None = None
    steps: tuple[StepLikelihood, ...] = ()
    finishes: int = 0
    finished: int = 0


class Bridged(Row):
    """A problem with all texts that could teach it, and which was chosen (index into `texts`); None: dropped."""

    content: ClassVar[str] = "bridged/1"

    id: str
    source: str
    line: int
    instruction: str
    texts: tuple[BridgeText, ...]
    chosen: int | None
    reason: str = ""


class RepairText(BaseModel):
    """A teacher's attempt to correct a solution: the complete text, prefix included, and the verdict of the check.

    `fate` is `chosen`, `spare` (right, but another one was chosen), or why it was not good enough.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    passed: bool | None
    fate: str


class Critique(Row):
    """What the teacher found in one rollout of a model, or how it corrected it.

    `rollout` is the rollout's index in the probe's row, `attempt` its answer in numbered steps, and `passed` the
    verdict of the check. `step` is the first wrong step by the teacher, from 1: None where the teacher says that all
    are right, or where its reply could not be read. `why` is its reason. A row of the kind `repair` has the corrected
    `repairs`, and which is `chosen` (index). `fate` is `learnt`, or why it is not.
    """

    content: ClassVar[str] = "critique/1"

    id: str
    source: str
    line: int
    instruction: str
    kind: Literal["diagnosis", "repair"]
    rollout: int
    attempt: str
    passed: bool
    step: int | None
    why: str
    repairs: tuple[RepairText, ...] = ()
    chosen: int | None = None
    fate: str


class TrainingRollout(Row):
    """One try at a problem during a training, and what it earned.

    `step` is the first optimizer step that learns from it, `group` the number of its group in that step, `text` the
    answer with its thought in tags. `rewards` has each reward by its name, None without a verdict, and `reward` their
    weighted sum; None: the rollout took no part in the training.
    """

    content: ClassVar[str] = "training-rollout/1"

    id: str
    source: str
    line: int
    step: int
    group: int
    text: str
    tokens_in: int
    tokens_out: int
    finish: Literal["stop", "length"] = "stop"
    rewards: dict[str, float | None]
    reward: float | None
