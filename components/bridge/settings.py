"""Settings of bridge."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.launch.ray.settings import RayActors
from components.models.generators.generator import Ability, Sampling
from components.models.generators.local_model import Precision
from components.models.generators.registry import AnyBackendSettings, AnyGeneratorSettings
from components.models.generators.transformers import TransformersSettings
from components.models.rollouts.teacher_replies import TeacherReplies, require_samples
from components.shared.sandbox.run_python import SandboxLimits
from components.shared.settings import Settings

PROBLEM, TRACE, TOKENS = "{problem}", "{trace}", "{tokens}"
PROMPT = f"""\
Rewrite the solution below for a student who cannot solve this problem yet.

Write short numbered steps, one a line: "1. …", "2. …". Each step is one calculation or one conclusion that follows \
from the steps before it. Leave out detours, repetitions and remarks. Add nothing that the solution does not use. End \
with the same final answer, in the form that the problem asks for. Use at most {TOKENS} tokens. Write the steps and \
the answer, and nothing else.

Problem:
{PROBLEM}

Solution:
{TRACE}
"""


class TokenCap(Settings):
    """Longest text that is taught, in the student's tokens: what the student itself writes when it is right.

    He and others (arXiv 2606.04466) cap the rewritten steps; their number cannot be read here, so this one is ours.
    """

    percentile: float = Field(
        0.9, gt=0, le=1, description="of the lengths of the student's own correct rollouts, 0 to 1: the cap"
    )
    from_rollouts: int = Field(20, ge=1, description="fewer correct rollouts than these give no cap of their own")
    fallback_tokens: int = Field(256, ge=1, description="the cap where there are fewer")


class PrefixTest(Settings):
    """Whether the student, given the first steps of a text, goes on to the right answer.

    A text whose first half does not help the student is too far from it, or its last step does all the work. One of a
    single step has no beginning to give, and is not tested.
    """

    generator: AnyBackendSettings = Field(
        TransformersSettings(model="", batch=64), description="the backend that runs the student"
    )
    share: float = Field(0.5, gt=0, lt=1, description="share of the steps that are given, 0 to 1; at least one")
    tries: int = Field(4, ge=1, description="answers of the student to each beginning")
    successes: int = Field(1, ge=1, description="right ones of these that the text needs")
    sampling: Sampling = Field(
        Sampling(temperature=1.0, max_tokens=512), description="how these answers are sampled; as the probe does"
    )

    @model_validator(mode="after")
    def _can_pass(self) -> Self:
        if self.successes > self.tries:
            raise ValueError(f"successes {self.successes} must be at most tries {self.tries}")
        if Ability.CONTINUES not in self.generator.abilities:
            raise ValueError(
                f"generator: the backend {self.generator.backend!r} cannot go on with an answer that is begun; "
                "use one that runs the student's files"
            )
        require_samples("tries", self.tries, self.sampling, self.generator)
        return self


class Replay(Settings):
    """Right answers of the student's own among the rows to learn, so that what it can do is not forgotten.

    Of problems that are not taught, one of each, from the probe: rejection sampling (arXiv 2308.01825) for rehearsal of
    what the model wrote itself (arXiv 2403.01244).
    """

    share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="of these among all rows to learn, 0 to 1; fewer where the student solves too few problems. 0.5, "
        "as many as there are texts, is ours",
    )
    seed: int = Field(0, ge=0, description="seed of which problems, and which of a problem's right answers")


class BridgeSettings(RayActors):
    """How the teacher's traces become texts that the student can learn.

    The method is that of He and others (arXiv 2606.04466), whose prompts and numbers cannot be read here: all are ours.
    """

    not_in_cache_key: ClassVar[frozenset[str]] = RayActors.not_in_cache_key | {
        "failed_share",
        "when_empty",
        "check_threads",
    }
    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"replay"})

    teacher: AnyGeneratorSettings = Field(description="the large model, which solves and rewrites")
    traces: int = Field(4, ge=1, le=256, description="the teacher tries a problem so often, until it is right once")
    trace_sampling: Sampling = Field(
        Sampling(temperature=0.7, max_tokens=2048), description="how the teacher's traces are sampled"
    )
    system_prompt: str = Field(
        "", description="system message for problems without one, as in the probe; it is not written into the rows"
    )
    candidates: int = Field(4, ge=1, le=64, description="rewritings of the trace of each problem")
    rewrite_sampling: Sampling = Field(
        Sampling(temperature=0.7, max_tokens=1024), description="how the rewritings are sampled"
    )
    prompt: str = Field(
        PROMPT,
        description=f"asks for a rewriting; {PROBLEM} and {TRACE} must be in it, {TOKENS} is replaced by the cap",
    )
    cap: TokenCap = Field(TokenCap(), description="longest text that is taught")
    least_steps: int = Field(
        1, ge=0, description="numbered steps that a rewriting needs, counted from 1; 0: any form is taken"
    )
    rank_clip: int = Field(
        100, ge=1, description="larger ranks count as this one, as in the authors' code for arXiv 2601.14249"
    )
    precision: Precision = Field("auto", description="type of the student's weights; auto: that of the model's files")
    prefix: PrefixTest | None = Field(None, description="the prefix test; none: left out")
    replay: Replay | None = Field(
        None, description="right answers of the student's own beside the texts; left out: the texts alone"
    )
    code_limits: SandboxLimits = Field(SandboxLimits(), description="limits of one run of code in the sandbox")
    check_threads: int | None = Field(
        None, ge=1, description="texts that one actor checks at a time; None: one for each core"
    )
    rows_per_shard: int = Field(
        128, ge=1, le=100_000, description="problems of one shard, which is also one task of an actor"
    )
    failed_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the teacher's traces that may fail for good, 0 to 1. A failed one costs at most its row: "
        "this is for a teacher that does not answer at all. Rewritings may all fail",
    )
    when_empty: Literal["fail", "finish"] = Field(
        "fail",
        description="no problem for SFT, or no text for any of them: fail ends the step with an error, finish "
        "completes its output without rows to learn (a round of a curriculum may have nothing left to learn)",
    )

    @property
    def trace_source(self) -> TeacherReplies:
        """What traces depend on: they are used again for any student."""
        return TeacherReplies(teacher=self.teacher, sampling=self.trace_sampling)

    @property
    def rewrite_source(self) -> TeacherReplies:
        """What rewritings depend on, besides the prompt with the problem, the trace and the cap."""
        return TeacherReplies(teacher=self.teacher, sampling=self.rewrite_sampling)

    @model_validator(mode="after")
    def _can_rewrite(self) -> Self:
        if missing := [name for name in (PROBLEM, TRACE) if name not in self.prompt]:
            raise ValueError(f"prompt must contain {' and '.join(missing)}: what is to be rewritten")
        require_samples("traces", self.traces, self.trace_sampling, self.teacher)
        require_samples("candidates", self.candidates, self.rewrite_sampling, self.teacher)
        return self


class BridgeAssignment(Settings):
    """The content of the job file. It holds no secrets: keys are read from the variables that the settings name.

    `address`, `routed` (the problems), `traces` and `rewritings` (the teacher's kept replies) are addresses, relative
    to `root`. `student` is the student's reference, `cap` the longest text in its tokens.
    """

    root: str
    address: str
    routed: str
    traces: str
    rewritings: str
    student: str
    cap: int
    settings: BridgeSettings
