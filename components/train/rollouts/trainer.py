"""trl's GRPOTrainer with our own rollouts, rewards and order of problems around its loss."""

# ruff: noqa: TID253 - imported by the job's own program only

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from accelerate.utils import gather_object
from transformers import GenerationConfig, Trainer
from trl import GRPOTrainer
from trl.models.utils import unwrap_model_for_generation

from components.models.generators.generator import Sampling
from components.shared.log import say
from components.shared.outputs.digest import seed_of
from components.shared.outputs.shards import SUFFIX, describe, pack_rows
from components.shared.rollout_rows import Routed, TrainingRollout
from components.shared.store.store import Store
from components.shared.text.counted import counted
from components.train.ranks import Ranks
from components.train.rollouts.build_problems import PROBLEM, PROMPT
from components.train.rollouts.draw import ReadRollout, RolloutReader, draw, rollout_config
from components.train.rollouts.problem_order import Group, ProblemOrder
from components.train.rollouts.score import RewardsByName, RolloutScorer
from components.train.rollouts.settings import ROLLOUTS, RolloutPlan

PLACE = "place"
"""Column of a row's place in its phase, over all ranks."""


class RolloutTrainer(GRPOTrainer):
    """Draws the rollouts of a phase, and learns from them in the optimizer steps of the phase.

    What a phase draws follows from the seed, the phase and the rewards of earlier epochs, which are in the trainer's
    log and so in every checkpoint. The rows that the loader returns are not read.

    Attributes:
        plan: of the training; set by the subclass.
        task: the step's name in the log.
        store: where the rollouts go.
        book: the record of steps.
    """

    plan: ClassVar[RolloutPlan]
    task: str
    store: Store
    book: Any

    def __init__(self, *, train_dataset: Any, **given: Any) -> None:
        options = self.plan.options
        super().__init__(reward_funcs=[_named(name) for name in options.rewards], train_dataset=train_dataset, **given)
        self._problems = [Routed.model_validate_json(text) for text in train_dataset[PROBLEM]]
        self._prompts: list[list[int]] = list(train_dataset[PROMPT])
        kinds = [row.check.kind for row in self._problems if row.check is not None]
        self._scorer = RolloutScorer(options.rewards, kinds, options.code_limits, options.check_threads)
        self._reader = RolloutReader(self._tokenizer, self.eos_token_ids)
        self._order = ProblemOrder(
            len(self._problems),
            self.plan.phase_problems,
            self.plan.epochs,
            self.plan.seed,
            leaves_out=options.leave_out,
        )
        self._sampling = Sampling(
            temperature=options.temperature, top_p=options.top_p, max_tokens=options.max_response, seed=self.plan.seed
        )
        self._keys: list[str] = []
        self._without_verdict = torch.zeros(0, dtype=torch.bool)
        self._entry: dict[str, Any] | None = None

    @property
    def phase(self) -> int:
        """The phase of the current step, from 0."""
        return int(self.state.global_step) // self.plan.options.updates

    def get_train_dataloader(self) -> Any:
        """transformers' own: a batch for each micro-batch, where trl's returns all rows of a phase each time."""
        return Trainer.get_train_dataloader(self)

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Add what became of the phase's rollouts, and leave out metrics without a value."""
        if "loss" in logs and self._entry is not None:
            logs[ROLLOUTS], self._entry = self._entry, None
        metrics = self._metrics["train"]
        for name in [name for name, values in metrics.items() if all(map(math.isnan, values))]:
            del metrics[name]
        super().log(logs, start_time)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        """Draw and score this rank's rollouts of the phase."""
        self._recall()
        torch.manual_seed(phase_seed(self.plan, self.phase, Ranks.from_environment().rank))
        rows = self._rows()
        self._keys = [f"{self.phase}/{row[PLACE]}" for row in rows]
        made = super()._generate_and_score_completions(rows)
        self._exclude(made)
        return made

    def _recall(self) -> None:
        """Note the rewards and the tokens of the phases so far, those before a restart among them."""
        steps = [entry for entry in self.state.log_history if ROLLOUTS in entry]
        for entry in steps[self._order.noted :]:
            self._order.note([Group(*group) for group in entry[ROLLOUTS]["groups"]])
            first, updates = entry["step"] - 1, self.plan.options.updates
            self.book.tokens[first : first + updates] = entry["tokens"]
            self.book.generated[first] = entry[ROLLOUTS]["tokens"]

    def _rows(self) -> list[dict[str, Any]]:
        """This rank's rows of the phase: each problem once for each rollout of its group."""
        size, ranks = self.plan.options.group_size, Ranks.from_environment()
        problems = self._order.at(self.phase)
        if self.phase and self.phase % self._order.phases == 0 and ranks.is_main:
            self._say_left_out()
        each = self.plan.phase_rows // ranks.world
        return [
            {PROMPT: self._prompts[number], PROBLEM: number, PLACE: place}
            for place in range(ranks.rank * each, (ranks.rank + 1) * each)
            for number in [int(problems[place // size])]
        ]

    def _say_left_out(self) -> None:
        out, total = len(self._order.left_out(self.phase // self._order.phases)), len(self._problems)
        if out == total:
            say(self.task, f"no problem had different rewards in a group, so none of the {total:,} is left out")
        elif out:
            say(self.task, f"{counted(out, 'problem')} of {total:,} left out: all rewards of each group were equal")

    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """They are token ids already, by the encoder that every step uses."""
        return prompts, None, {}

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, multimodal_fields: Any, num_generations: int, *rest: Any
    ) -> tuple[list[list[int]], Any]:
        """Rollouts that depend on their keys alone; vLLM's are trl's."""
        if self.use_vllm:
            drawn: tuple[list[list[int]], Any] = super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, *rest
            )
            return drawn
        config = rollout_config(self._sampling, self._tokenizer.pad_token_id, self.eos_token_ids)
        batch, found = self.plan.options.rollout_batch, []
        with (
            torch.no_grad(),
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                generation_kwargs=config,
                gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
            ) as model,
        ):
            for begin in range(0, len(prompt_ids), batch):
                part = slice(begin, begin + batch)
                found += draw(model, prompt_ids[part], self._keys[part], self._sampling, GenerationConfig(**config))
        return found, None

    def _calculate_rewards(
        self,
        inputs: Sequence[dict[str, Any]],
        prompts: Sequence[Sequence[int]],
        completions: Any,
        completion_ids_list: Sequence[Sequence[int]],
    ) -> torch.Tensor:
        """The rewards of all ranks' rollouts, [rows, rewards]; NaN throughout where one of a rollout's is missing."""
        read = self._reader.read(prompts, completion_ids_list)
        scores = self._scorer.score([self._problems[row[PROBLEM]] for row in inputs], [one.text for one in read])
        lengths = zip(map(len, prompts), map(len, completion_ids_list), strict=True)
        rows = [self._rollout(*each) for each in zip(inputs, read, scores, lengths, strict=True)]
        device = self.accelerator.device
        self._without_verdict = torch.tensor([row.reward is None for row in rows], device=device)
        self._note_phase(gather_object(rows), gather_object([row[PROBLEM] for row in inputs]))
        values = [
            [math.nan if row.reward is None or value is None else value for value in row.rewards.values()]
            for row in rows
        ]
        gathered: torch.Tensor = self.accelerator.gather(torch.tensor(values, dtype=torch.float32, device=device))
        return gathered

    def _rollout(
        self, row: dict[str, Any], read: ReadRollout, scores: RewardsByName, lengths: tuple[int, int]
    ) -> TrainingRollout:
        """A rollout as it is stored; `lengths` are the tokens of its prompt and of the answer."""
        problem = self._problems[row[PROBLEM]]
        return TrainingRollout(
            id=problem.id,
            source=problem.source,
            line=problem.line,
            step=self.state.global_step + 1,
            group=row[PLACE] // self.plan.options.group_size,
            text=read.text or "",
            tokens_in=lengths[0],
            tokens_out=lengths[1],
            finish="length" if read.truncated else "stop",
            rewards=scores,
            reward=self._scorer.total(scores),
        )

    def _note_phase(self, rows: Sequence[TrainingRollout], problems: Sequence[int]) -> None:
        """Store the phase's rollouts, and note the rewards of its groups."""
        size = self.plan.options.group_size
        groups = [_group(problems[begin], rows[begin : begin + size]) for begin in range(0, len(rows), size)]
        lost = sum(row.reward is None for row in rows)
        self._metrics["train"]["useful_groups"].append(sum(group.differs for group in groups) / len(groups))
        self._metrics["train"]["no_verdict"].append(lost / len(rows))
        data, number = pack_rows(rows)
        shard = describe(f"{ROLLOUTS}/{self.state.global_step + 1:08d}{SUFFIX}", data, number)
        if Ranks.from_environment().is_main:
            self.store.write(shard.name, data)
        self._entry = {
            "shard": shard.model_dump(mode="json"),
            "groups": [list(group) for group in groups],
            "no_verdict": lost,
            "tokens": sum(row.tokens_out for row in rows),
            "left_out": len(self._order.left_out(self.phase // self._order.phases)),
        }
        self._note_tokens(sum(row.tokens_in + row.tokens_out for row in rows), self._entry["tokens"])

    def _note_tokens(self, tokens: int, generated: int) -> None:
        """Record the tokens of the phase's rows, in equal parts for its steps; all were generated for the first one."""
        step, updates = self.state.global_step, self.plan.options.updates
        self.book.tokens[step : step + updates] = tokens // updates
        self.book.generated[step] = generated

    def _exclude(self, made: dict[str, Any]) -> None:
        """Take rollouts without a verdict out of the loss: trl sets their advantage to 0, but counts their tokens."""
        counts = torch.stack([torch.tensor(len(self._without_verdict)), self._without_verdict.sum().cpu()])
        rows, lost = self.accelerator.reduce(counts.to(self.accelerator.device)).tolist()
        if not lost:
            return
        made["completion_mask"][self._without_verdict] = 0
        made["num_items_in_batch"] = self.accelerator.gather(made["completion_mask"].sum()).sum()
        if self.loss_type != "dapo":
            # These are means over rows, of which fewer count.
            made["advantages"] = made["advantages"] * (rows / max(rows - lost, 1))


def phase_seed(plan: RolloutPlan, phase: int, rank: int) -> int:
    """The seed of what a rank draws in a phase: trl's shuffle of its rows, and the rollouts of a colocated vLLM.

    Ranks whose GPUs hold one vLLM together each sample all of its rollouts, so they need the same numbers.
    """
    vllm = plan.options.vllm
    together = vllm.tensor_parallel if vllm is not None and vllm.mode == "colocate" else 1
    return seed_of(f"{plan.seed}:{phase}:{rank // together}") >> 1


def _group(problem: int, rows: Sequence[TrainingRollout]) -> Group:
    rewards = [row.reward for row in rows if row.reward is not None]
    return Group(problem, min(rewards, default=None), max(rewards, default=None))


def _named(name: str) -> Any:
    """A function with the name of a reward: trl names its metrics by it."""

    def reward(**_: Any) -> list[float]:
        raise NotImplementedError("rewards are computed together, in RolloutTrainer")

    reward.__name__ = name
    return reward
