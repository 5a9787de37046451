"""Group relative policy optimization (Shao and others, arXiv 2402.03300, section 4.1) by trl's trainer.

Of each problem a group of rollouts is drawn, and each is rewarded. The advantage of a rollout is its reward less the
mean of its group: it is not divided by the group's deviation, which would weigh easy and hard problems more (Dr. GRPO,
Liu and others, arXiv 2503.20783, section 3). With A that advantage, w the ratio of the token's probability to that when
the rollout was drawn, and the loss of a token -min(w A, clip(w, 1 - low, 1 + high) A):

| loss | mean over | source |
|---|---|---|
| dapo | all tokens of the step | Yu and others, arXiv 2503.14476, equation 12 |
| dr_grpo | all tokens, divided by rows times `max_response` | Dr. GRPO, section 3.2 |
| grpo | the tokens of each rollout, then rollouts | arXiv 2402.03300, equation 3 |

There is no reference model (beta 0, as in DAPO, section 2.3, and Dr. GRPO). clip_high above clip_low leaves unlikely
tokens room to grow (DAPO, section 3.1), and truncated rollouts are masked (section 3.4). DAPO draws until all groups
have an advantage; here problems of which no group had one are left out of the next epoch.

The method needs problems with a check, as the step route writes them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.rewards.forms import FORMS
from components.shared.errors import SettingsError
from components.shared.outputs.manifest import Shard
from components.shared.rows import Routed
from components.shared.sandbox.run_python import SandboxLimits
from components.shared.settings import Settings
from components.train.batches.split import Split
from components.train.methods.method import Beside, TrainingData, TrainingMethod
from components.train.methods.preference import PreferenceSettings

if TYPE_CHECKING:
    from components.train.batches.build_dataset import Template
    from components.train.batches.token_files import TokenFiles

CHECK = "check"
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
        "colocate", description="colocate: on the GPUs that train; server: `trl vllm-serve` at server_url"
    )
    server_url: str = Field("", description="with server: its base URL, such as http://rollouts:8000")
    gpu_memory_utilization: float = Field(0.3, gt=0, le=1, description="colocate: share of a GPU's memory; trl's 0.3")
    tensor_parallel: int = Field(1, ge=1, description="colocate: GPUs that hold a model together")
    sleep: bool = Field(False, description="colocate: free vLLM's memory while the model is trained")

    @model_validator(mode="after")
    def _server_has_url(self) -> Self:
        if (self.mode == "server") != bool(self.server_url):
            raise ValueError(f"vllm.mode {self.mode} and server_url {self.server_url!r}: a server, and only it, has one")
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
        description=f"weights of the rewards, by name: {CHECK}, the verdict of the problem's check (math, exact, choice "
        f"or code), and forms of the reply: {', '.join(FORMS)}",
    )
    leave_out: bool = Field(
        True, description="leave problems of which no group had different rewards out of the next epoch"
    )
    code_limits: SandboxLimits = Field(SandboxLimits(), description="of one run of a rollout's code")
    vllm: VllmRollouts | None = Field(None, description="draw rollouts with vLLM; left out: with transformers")
    rollout_batch: int = Field(64, ge=1, description="rollouts of one process in a batch of transformers")
    check_threads: int | None = Field(
        None, ge=1, description="rollouts that a process checks at a time; None: one for each core"
    )

    @model_validator(mode="after")
    def _rewards_exist(self) -> Self:
        if unknown := sorted(self.rewards.keys() - set(REWARDS)):
            raise ValueError(f"rewards has {', '.join(map(repr, unknown))}; known are {', '.join(REWARDS)}")
        if wrong := [name for name, weight in self.rewards.items() if not 0 < weight < float("inf")]:
            raise ValueError(f"the weight {self.rewards[wrong[0]]} of {wrong[0]!r} is not above 0: leave it out")
        return self


class GrpoSettings(PreferenceSettings):
    """Settings of GRPO. `global_batch` and `micro_batch` count rollouts. DAPO and trl: learning_rate 1e-6."""

    method: Literal["grpo"] = Field("grpo", description="GRPO on problems with a check")
    epochs: int = Field(1, ge=1, le=1000, description="passes over the problems")
    grpo: GrpoOptions = Field(GrpoOptions(), description="GRPO's own settings")

    @property
    def phase_rows(self) -> int:
        """Rollouts that are drawn together, over all ranks."""
        return self.global_batch * self.grpo.updates

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        if self.global_batch % self.grpo.group_size:
            raise ValueError(
                f"global_batch {self.global_batch} counts rollouts and is not a multiple of grpo.group_size "
                f"{self.grpo.group_size}"
            )
        return self

    @model_validator(mode="after")
    def _response_fits(self) -> Self:
        if self.grpo.max_response >= self.max_length:
            raise ValueError(
                f"grpo.max_response {self.grpo.max_response} leaves no room for a prompt: prompt and rollout together "
                f"have at most max_length {self.max_length} tokens"
            )
        return self

    @model_validator(mode="after")
    def _checkpoints_follow_updates(self) -> Self:
        if self.checkpoint_steps % self.grpo.updates:
            raise ValueError(
                f"checkpoint_steps {self.checkpoint_steps} is not a multiple of grpo.updates {self.grpo.updates}: a "
                "checkpoint does not hold rollouts, so it is made where new ones are drawn"
            )
        return self

    @model_validator(mode="after")
    def _vllm_fits_ranks(self) -> Self:
        vllm = self.grpo.vllm
        if vllm is not None and vllm.mode == "colocate" and self.ranks % vllm.tensor_parallel:
            raise ValueError(f"vllm.tensor_parallel {vllm.tensor_parallel} does not divide the {self.ranks} ranks")
        return self


class GrpoMethod(TrainingMethod[GrpoSettings]):
    """trl's GRPOTrainer, with rollouts, rewards and the order of problems of its own (`rollouts/trainer.py`).

    It draws while it trains, so it has no rows to pack: it trains on padded rows.
    """

    name = "grpo"
    does = "raises the answers to a problem that its check rewards above those of their group"
    source = "Shao and others, arXiv 2402.03300; Yu and others, arXiv 2503.14476; Liu and others, arXiv 2503.20783"
    part = "rl"
    row_type = Routed
    made_by = "route"
    settings = GrpoSettings
    metrics: ClassVar[Mapping[str, str]] = {
        "reward": "reward",
        **{f"rewards/{name}/mean": f"reward_{name}" for name in REWARDS},
        "useful_groups": "useful_groups",
        "no_verdict": "no_verdict_share",
        "entropy": "entropy",
        "completions/mean_length": "response_tokens",
        "completions/clipped_ratio": "truncated_share",
        "clip_ratio/region_mean": "clip_share",
    }

    def check_rows(self, rows: Iterator[Routed]) -> None:
        """All of them: each needs a check."""
        from components.train.rollouts.build_problems import require_checks

        for _ in require_checks(rows):
            pass

    def prepare(
        self,
        rows: Iterable[Routed],
        template: "Template",
        settings: GrpoSettings,
        split: Split,
        files: "TokenFiles | None" = None,
    ) -> TrainingData:
        """A row for each problem, and their order if none is left out. Prompts are few, so they are kept in memory."""
        import numpy as np

        from components.train.rollouts.build_problems import build_problems, problem_columns
        from components.train.rollouts.problem_order import ProblemOrder

        room = settings.max_length - settings.grpo.max_response
        made = build_problems(template, rows, room)
        problems = list(made.kept)  # type: ignore[call-overload]  # a list, as build_problems makes it
        order = ProblemOrder(
            len(problems), problems_at_once(settings), settings.epochs, settings.seed, leaves_out=False
        )
        # The longest that rows can become, for the estimate of memory; the trainer notes what they became.
        lengths = np.array([len(ids) for ids, _ in problems], np.int64) + settings.grpo.max_response
        rows_in_order = np.repeat(order.planned(), settings.grpo.group_size)
        return TrainingData(problem_columns(problems), rows_in_order, lengths, made.counts, notes=tuple(made.notes()))

    def arguments(self, common: dict[str, Any], settings: GrpoSettings, data: TrainingData) -> Any:
        """The loss is trl's. Raises SettingsError where vLLM cannot run."""
        from trl import GRPOConfig

        grpo = settings.grpo
        return GRPOConfig(
            **common,
            remove_unused_columns=False,
            shuffle_dataset=False,
            disable_dropout=True,
            num_generations=grpo.group_size,
            steps_per_generation=common.get("gradient_accumulation_steps", 1) * grpo.updates,
            max_completion_length=grpo.max_response,
            temperature=grpo.temperature,
            top_p=grpo.top_p,
            beta=0.0,
            epsilon=grpo.clip_low,
            epsilon_high=grpo.clip_high,
            loss_type=grpo.loss,
            scale_rewards=grpo.scale_rewards,
            mask_truncated_completions=grpo.mask_truncated,
            reward_weights=list(grpo.rewards.values()),
            **vllm_arguments(settings),
        )

    def trainer_type(self, settings: GrpoSettings) -> type[Any]:
        """trl's, with the parts around the loss replaced."""
        from components.train.rollouts.trainer import RolloutTrainer

        return type("GrpoTrainer", (RolloutTrainer,), {"settings": settings})

    def beside(self, log: Sequence[Mapping[str, Any]], settings: GrpoSettings) -> Beside:
        """The rollouts, and what became of the groups."""
        entries = [entry[ROLLOUTS] for entry in log if ROLLOUTS in entry]
        groups = [group for entry in entries for group in entry["groups"]]
        full = sum(settings.grpo.rewards.values())
        known = [(low, high) for _, low, high in groups if low is not None]
        counts = {
            "rollouts": sum(entry["shard"]["rows"] for entry in entries),
            "rollouts_without_verdict": sum(entry["no_verdict"] for entry in entries),
            "tokens_generated": sum(entry["tokens"] for entry in entries),
            "groups": len(groups),
            "groups_all_zero": sum(high <= 0 for _, high in known),
            "groups_all_one": sum(low >= full for low, _ in known),
            "problems_left_out": entries[-1]["left_out"] if entries else 0,
        }
        return Beside(tuple(Shard.model_validate(entry["shard"]) for entry in entries), counts)

    def summary(self, counts: Mapping[str, float]) -> Iterable[tuple[str, str]]:
        """Rewards and groups."""
        if "reward" in counts:
            yield "reward of the last steps", f"{counts['reward']:.3f}"
        if "useful_groups" in counts:
            yield "share of groups with different rewards in them", f"{counts['useful_groups']:.3f}"
        yield "rollouts", f"{counts['rollouts']:,.0f} of {counts['tokens_generated']:,.0f} tokens"
        yield "groups, all zero, all one", ", ".join(
            f"{counts[name]:,.0f}" for name in ("groups", "groups_all_zero", "groups_all_one")
        )
        yield "problems left out of the last epoch", f"{counts['problems_left_out']:,.0f}"
        if counts.get("rollouts_without_verdict"):
            yield "rollouts without a verdict, which took no part", f"{counts['rollouts_without_verdict']:,.0f}"


def problems_at_once(settings: GrpoSettings) -> int:
    """Problems whose rollouts are drawn together."""
    return settings.phase_rows // settings.grpo.group_size


def vllm_arguments(settings: GrpoSettings) -> dict[str, Any]:
    """trl's arguments for vLLM. Raises SettingsError where it cannot run."""
    vllm = settings.grpo.vllm
    if vllm is None:
        return {"use_vllm": False}
    require_vllm()
    own = {
        "use_vllm": True,
        "vllm_mode": vllm.mode,
        "vllm_gpu_memory_utilization": vllm.gpu_memory_utilization,
        "vllm_tensor_parallel_size": vllm.tensor_parallel,
        "vllm_enable_sleep_mode": vllm.sleep,
        "vllm_max_model_length": settings.max_length,
    }
    return own | ({"vllm_server_base_url": vllm.server_url} if vllm.mode == "server" else {})


def require_vllm() -> None:
    """Raises SettingsError where vLLM, or the GPU that trl needs for it, is missing."""
    from importlib.util import find_spec

    import torch

    missing = [
        what
        for what, there in {
            "the package vllm": find_spec("vllm") is not None,
            "a GPU": torch.cuda.is_available(),
        }.items()
        if not there
    ]
    if missing:
        raise SettingsError(
            f"grpo.vllm is set, and this process lacks {' and '.join(missing)}",
            rule="trl copies the weights of each step to vLLM from GPU to GPU, by vLLM's own code",
            remedy="leave grpo.vllm out, which draws rollouts with transformers, or train in an image with vllm on GPUs",
        )


METHOD = GrpoMethod()
