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
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.shared.outputs.manifest import Shard
from components.shared.outputs.training_compute import GENERATED
from components.shared.rollout_rows import Routed
from components.train.batches.split import Split
from components.train.methods.method import Beside, TrainingData, TrainingMethod
from components.train.methods.preference import PreferenceSettings
from components.train.rollouts.settings import REWARDS, ROLLOUTS, GrpoOptions, RolloutPlan
from components.train.settings import PADDED_RULE

if TYPE_CHECKING:
    from components.models.generators.generator import Sampling
    from components.shared.finding import Look
    from components.shared.step import Image
    from components.train.batches.build_dataset import Template
    from components.train.batches.token_files import TokenFiles
    from components.train.memory import Generation


class GrpoSettings(PreferenceSettings):
    """Settings of GRPO. `global_batch` and `micro_batch` count rollouts. DAPO and trl: learning_rate 1e-6."""

    method: Literal["grpo"] = Field("grpo", description="GRPO on problems with a check")
    epochs: int = Field(1, ge=1, le=1000, description="passes over the problems")
    grpo: GrpoOptions = Field(GrpoOptions(), description="GRPO's own settings")

    @property
    def plan(self) -> RolloutPlan:
        """What the trainer needs."""
        return RolloutPlan(self.grpo, self.global_batch, self.epochs, self.seed)

    @model_validator(mode="after")
    def _shares_are_even(self) -> Self:
        if self.shares == "speed":
            raise ValueError(f"shares is 'speed', and grpo trains on padded rows: {PADDED_RULE}. Allowed: even")
        return self

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

        from components.train.rollouts.build_problems import Problem, build_problems, problem_columns
        from components.train.rollouts.problem_order import ProblemOrder

        room = settings.max_length - settings.grpo.max_response
        problems: list[Problem] = []
        made = build_problems(template, rows, room, problems)
        order = ProblemOrder(
            len(problems), settings.plan.phase_problems, settings.epochs, settings.seed, leaves_out=False
        )
        # The longest that rows can become, for the estimate of memory; the trainer notes what they became.
        prompts = np.array([len(ids) for ids, _ in problems], np.int64)
        lengths = prompts + settings.grpo.max_response
        rows_in_order = np.repeat(order.planned(), settings.grpo.group_size)
        return TrainingData(
            problem_columns(problems),
            rows_in_order,
            lengths,
            made.counts,
            notes=tuple(made.notes()),
            # An answer of one token, which is generated and then learnt from.
            fewest=prompts + 2,
        )

    def image_needed(self, settings: GrpoSettings) -> "Image | None":
        """That of training with vLLM: it is not in the image train."""
        from components.shared.step import Image

        return None if settings.grpo.vllm is None else Image.TRAIN_VLLM

    def check_machine(self, settings: GrpoSettings) -> None:
        """Raises SettingsError where vLLM is to draw, and it or a GPU is missing."""
        if settings.grpo.vllm is not None:
            from components.train.rollouts.check_vllm import require_vllm

            require_vllm()

    def looks(self, settings: GrpoSettings, where: str) -> Iterator["Look"]:
        """At the server that draws the rollouts, if there is one."""
        vllm = settings.grpo.vllm
        if vllm is None or vllm.mode != "server":
            return
        from components.shared.finding import Look
        from components.train.rollouts.check_vllm import require_server

        def look() -> str:
            require_server(vllm, settings.max_length, wait_seconds=0.0)
            return "takes weights and draws rollouts"

        yield Look(where, vllm.server_url, look, f"rollouts {vllm.server_url} {settings.max_length}")

    def rollout_sampling(self, settings: GrpoSettings) -> "Sampling | None":
        """That of both backends; they end a rollout at the model's own end alone."""
        from components.models.generators.generator import Sampling

        options = settings.grpo
        return Sampling(temperature=options.temperature, top_p=options.top_p, max_tokens=options.max_response)

    def generation(self, settings: GrpoSettings, ranks: int) -> "Generation | None":
        """Rollouts by transformers come in batches; vLLM on the same GPUs has a share of each, also while it sleeps."""
        from components.train.memory import Generation

        options = settings.grpo
        rows = min(options.rollout_batch, settings.plan.phase_rows // ranks)
        here = Generation(rows, settings.max_length - options.max_response, options.max_response)
        if options.vllm is None:
            return here
        return replace(here, rows=0, reserved=options.vllm.gpu_memory_utilization * (options.vllm.mode == "colocate"))

    def arguments(self, common: dict[str, Any], settings: GrpoSettings, data: TrainingData) -> Any:
        """The loss is trl's. Raises SettingsError or ServiceError where vLLM cannot draw."""
        from trl import GRPOConfig

        from components.train.rollouts.check_vllm import require_server

        grpo = settings.grpo
        self.check_machine(settings)
        if grpo.vllm is not None:
            require_server(grpo.vllm, settings.max_length)
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

        return type("GrpoTrainer", (RolloutTrainer,), {"plan": settings.plan})

    def beside(self, log: Sequence[Mapping[str, Any]], settings: GrpoSettings) -> Beside:
        """The rollouts, and what became of the groups."""
        entries = [entry[ROLLOUTS] for entry in log if ROLLOUTS in entry]
        groups = [group for entry in entries for group in entry["groups"]]
        full = sum(settings.grpo.rewards.values())
        known = [(low, high) for _, low, high in groups if low is not None]
        counts = {
            "rollouts": sum(entry["shard"]["rows"] for entry in entries),
            "rollouts_without_verdict": sum(entry["no_verdict"] for entry in entries),
            GENERATED: sum(entry["tokens"] for entry in entries),
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
        yield "rollouts", f"{counts['rollouts']:,.0f} of {counts[GENERATED]:,.0f} tokens"
        yield (
            "groups, all zero, all one",
            ", ".join(f"{counts[name]:,.0f}" for name in ("groups", "groups_all_zero", "groups_all_one")),
        )
        yield "problems left out of the last epoch", f"{counts['problems_left_out']:,.0f}"
        if counts.get("rollouts_without_verdict"):
            yield "rollouts without a verdict, which took no part", f"{counts['rollouts_without_verdict']:,.0f}"


def vllm_arguments(settings: GrpoSettings) -> dict[str, Any]:
    """trl's arguments for vLLM."""
    vllm = settings.grpo.vllm
    if vllm is None:
        return {"use_vllm": False}
    own = {
        "use_vllm": True,
        "vllm_mode": vllm.mode,
        "vllm_gpu_memory_utilization": vllm.gpu_memory_utilization,
        "vllm_tensor_parallel_size": vllm.tensor_parallel,
        "vllm_enable_sleep_mode": vllm.sleep,
        "vllm_max_model_length": settings.max_length,
    }
    return own | ({"vllm_server_base_url": vllm.server_url} if vllm.mode == "server" else {})


METHOD = GrpoMethod()
