"""Settings of the probe."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from components.launch.ray.settings import RayActors
from components.models.generators.generator import Ability, Sampling
from components.models.generators.registry import AnyBackendSettings
from components.models.generators.transformers import TransformersSettings
from components.probe.rule import ProbeRule
from components.shared.sandbox.run_python import SandboxLimits
from components.shared.settings import Settings


class RolloutSource(Settings):
    """What a rollout depends on besides the model's files and the problem's conversation: its address is of these."""

    generator: AnyBackendSettings = Field(description="the backend, or the endpoint that answers")
    sampling: Sampling = Field(description="how rollouts are sampled")


class ProbeSettings(RayActors):
    """How a model's pass rate on each problem is probed.

    Problems are sorted by pass rate before they are trained on by He and others (arXiv 2606.04466), whose numbers
    cannot be read here: those below are ours, with their source in published practice.
    """

    not_in_cache_key: ClassVar[frozenset[str]] = RayActors.not_in_cache_key | {"failed_share", "check_threads"}

    generator: AnyBackendSettings = Field(
        TransformersSettings(model="", batch=128),
        description="the backend that runs the model, with its settings except `model`; or an endpoint (openai), which "
        "is probed in place of a model's files",
    )
    sampling: Sampling = Field(
        Sampling(temperature=1.0, max_tokens=1024),
        description="how rollouts are sampled; as in the RL that follows, since a pass rate is that of a policy. "
        "Temperature 1 and the full distribution are what GRPO samples from (DeepSeekMath, arXiv 2402.03300)",
    )
    system_prompt: str = Field(
        "", description="system message for problems without one, as in the RL; it is not written into the rows"
    )
    rule: ProbeRule = Field(ProbeRule(), description="how many rollouts a problem gets")
    pass_at: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 8),
        min_length=1,
        description="report pass@k for these k, each at most rule.zero_tries; the gap between pass@1 and pass@k is "
        "what RL can close (Yue and others, arXiv 2504.13837)",
    )
    code_limits: SandboxLimits = Field(SandboxLimits(), description="limits of one run of code in the sandbox")
    check_threads: int | None = Field(
        None, ge=1, description="rollouts that one actor checks at a time; None: one for each core"
    )
    rows_per_shard: int = Field(
        256, ge=1, le=100_000, description="problems of one shard, which is also one task of an actor"
    )
    failed_share: float = Field(
        0.05, ge=0, le=1, description="share of the rollouts that may fail for good at an endpoint, 0 to 1"
    )

    @property
    def asks_endpoint(self) -> bool:
        """Whether an endpoint answers in place of a model's files."""
        return self.generator.is_remote

    @property
    def source(self) -> RolloutSource:
        """What rollouts depend on: later probes with the same source use them again."""
        return RolloutSource(generator=self.generator, sampling=self.sampling)

    @model_validator(mode="after")
    def _can_sample(self) -> Self:
        if self.sampling.temperature == 0:
            raise ValueError("sampling.temperature: greedy rollouts would be equal; set it above 0, such as 1.0")
        if Ability.SAMPLES not in self.generator.abilities:
            raise ValueError(f"generator: the backend {self.generator.backend!r} cannot sample several answers")
        return self

    @model_validator(mode="after")
    def _can_estimate(self) -> Self:
        if too_many := [k for k in self.pass_at if k > self.rule.zero_tries]:
            raise ValueError(
                f"pass_at {too_many[0]} needs as many rollouts of unsolved problems: at most "
                f"rule.zero_tries {self.rule.zero_tries}"
            )
        return self


class ProbeAssignment(Settings):
    """The content of the job file. It holds no secrets: keys are read from the variables that the settings name.

    `address`, `problems` and `rollouts` (the addresses of the output, of the problems and of the rollouts that are
    kept) are relative to `root`. `model` is the model's reference; empty where an endpoint answers.
    """

    root: str
    address: str
    problems: str
    rollouts: str
    model: str
    settings: ProbeSettings
