"""Settings of rollouts: how they are drawn, rewarded and learnt from."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.rewards.forms import FORMS
from components.shared.sandbox.run_python import SandboxLimits
from components.shared.settings import Settings

CHECK = "check"
"""The reward that a problem's check gives: by value, text, letter or tests, whatever its kind."""
REWARDS = (CHECK, *FORMS)
"""Names of rewards: the problem's check, and forms of a reply."""
ROLLOUTS = "rollouts"
"""The part of the output that holds every rollout, and the entry of the trainer's log about them."""


class VllmRollouts(Settings):
    """Rollouts by vLLM rather than by transformers. They are not the same from run to run."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset(
        {"mode", "server_url", "gpu_memory_utilization", "tensor_parallel", "sleep"}
    )

    mode: Literal["colocate", "server"] = Field(
        "colocate", description="colocate: on the GPUs that train; server: a `vllm serve` at server_url"
    )
    server_url: str = Field("", description="with server: its base URL, such as http://rollouts:8000")
    gpu_memory_utilization: float = Field(0.3, gt=0, le=1, description="colocate: share of a GPU's memory; trl's 0.3")
    tensor_parallel: int = Field(1, ge=1, description="colocate: GPUs that hold a model together")
    sleep: bool = Field(False, description="colocate: free vLLM's memory while the model is trained")

    @model_validator(mode="after")
    def _server_has_url(self) -> Self:
        if (self.mode == "server") != bool(self.server_url):
            raise ValueError(
                f"vllm.mode {self.mode} and server_url {self.server_url!r}: a server, and only it, has one"
            )
        if self.server_url and not self.server_url.startswith(("http://", "https://")):
            raise ValueError(f"vllm.server_url {self.server_url!r} does not begin with http:// or https://")
        return self


class GrpoOptions(Settings):
    """What GRPO has beside the settings of every training."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"rollout_batch", "check_threads"})

    group_size: int = Field(8, ge=2, le=256, description="rollouts of a problem in a step; trl: 8, DAPO: 16")
    loss: Literal["dapo", "dr_grpo", "grpo"] = Field("dapo", description="over what a token's loss is averaged")
    clip_low: float = Field(0.2, gt=0, lt=1, description="1 less the lowest ratio that is learnt from; DAPO: 0.2")
    clip_high: float = Field(0.28, gt=0, le=10, description="the highest such ratio less 1; DAPO: 0.28")
    scale_rewards: Literal["none", "group", "batch"] = Field(
        "none", description="none: advantages are not divided by a deviation (Dr. GRPO); by the group's; by the batch's"
    )
    mask_truncated: bool = Field(True, description="rollouts that max_response ended take no part in the loss (DAPO)")
    updates: int = Field(
        1, ge=1, description="optimizer steps that learn from one drawing; at 1 all ratios are 1, so nothing is clipped"
    )
    max_response: int = Field(256, ge=1, description="longest rollout, in tokens; trl: 256")
    temperature: float = Field(1.0, gt=0, le=2, description="of the sampling; 1: the model's own probabilities")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling; 1 draws from what the loss compares with")
    rewards: dict[str, float] = Field(
        {CHECK: 1.0},
        min_length=1,
        description=f"weights of the rewards, by name: {CHECK}, the verdict of the problem's check (math, exact, "
        f"choice or code), and forms of the reply: {', '.join(FORMS)}",
    )
    leave_out: bool = Field(
        True, description="leave problems of which no group had different rewards out of the next epoch"
    )
    code_limits: SandboxLimits = Field(SandboxLimits(), description="of one run of a rollout's code")
    vllm: VllmRollouts | None = Field(None, description="draw rollouts with vLLM; left out: with transformers")
    rollout_batch: int = Field(64, ge=1, description="rollouts of one process in a batch of transformers")
    check_threads: int | None = Field(
        None,
        ge=1,
        description="rollouts that a process checks at a time; None: one for each core that is its own, of those that "
        "the processes of a node share",
    )

    @model_validator(mode="after")
    def _rewards_exist(self) -> Self:
        if unknown := sorted(self.rewards.keys() - set(REWARDS)):
            raise ValueError(f"rewards has {', '.join(map(repr, unknown))}; known are {', '.join(REWARDS)}")
        if wrong := [name for name, weight in self.rewards.items() if not 0 < weight < float("inf")]:
            raise ValueError(f"the weight {self.rewards[wrong[0]]} of {wrong[0]!r} is not above 0: leave it out")
        return self


@dataclass(frozen=True)
class RolloutPlan:
    """What a trainer of rollouts needs to know of its training.

    Attributes:
        options: of the rollouts.
        global_batch: rollouts of an optimizer step, over all ranks.
        epochs: passes over the problems.
        seed: of the order and of the sampling.
    """

    options: GrpoOptions
    global_batch: int
    epochs: int
    seed: int

    @property
    def phase_rows(self) -> int:
        """Rollouts that are drawn together, over all ranks."""
        return self.global_batch * self.options.updates

    @property
    def phase_problems(self) -> int:
        """Their problems."""
        return self.phase_rows // self.options.group_size
