"""Losses and gradients of GRPO are those of trl's own trainer on the same rollouts, and what our trainer adds to it."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from components.shared.outputs.shards import parse_row
from components.shared.rollout_rows import Routed, TrainingRollout
from components.shared.rows import Check
from components.shared.store.folder import FolderStore
from components.train.batches.build_dataset import Template
from components.train.batches.split import split_batch
from components.train.engine.losses import StepBook
from components.train.methods.grpo import GrpoSettings
from components.train.methods.registry import method_of, parse_train_settings
from components.train.rollouts.score import RewardsByName
from components.train.rollouts.settings import ROLLOUTS, GrpoOptions, RolloutPlan, VllmRollouts
from components.train.rollouts.trainer import phase_seed

TEMPLATE = (
    "{%- for m in messages -%}{{- '<|' + m['role'] + '|>' + m['content'] + '<|end|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
GROUP = 4
END = 4
"""The id of the token `<|end|>`."""
PROBLEMS = 2
REWARDS: list[float | None] = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]


def problem(number: int) -> Routed:
    labels = {"type": "math", "primary": "a", "secondary": "b", "tries": 8, "successes": 1, "pool": "mixed"}
    check = Check(kind="exact", answer="7")
    return Routed(id=str(number), source="s", line=number + 1, instruction="Say" + "!" * number, check=check, **labels)


@pytest.fixture(scope="module")
def start() -> Any:
    """A random Llama: 2 layers of width 32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=261, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    )
    model = LlamaForCausalLM(config).eval()
    # Some rollouts end before max_response.
    with torch.no_grad():
        model.lm_head.weight[4] *= 30
    return model


@pytest.fixture
def student(tokenizer: Any) -> Any:
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def settings_of(**grpo: Any) -> GrpoSettings:
    own = {"group_size": GROUP, "max_response": 6, **grpo}
    rows = PROBLEMS * own["group_size"]
    given = {"method": "grpo", "global_batch": rows, "micro_batch": rows, "max_length": 64, "precision": "fp32"}
    settings = parse_train_settings({**given, "grpo": own})
    assert isinstance(settings, GrpoSettings)
    return settings


def common(folder: Path, rows: int) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "gradient_checkpointing": False,
        "per_device_train_batch_size": rows,
        "seed": 42,
    }


def ours(start: Any, tokenizer: Any, folder: Path, settings: GrpoSettings, rewards: Sequence[float | None] = ()) -> Any:
    """Our trainer; where rewards are given, they replace those of the check."""
    from datasets import Dataset

    method = method_of(settings)
    rows = [problem(number) for number in range(PROBLEMS)]
    data = method.prepare(rows, Template(tokenizer), settings, split_batch(settings, ranks=1))
    trainer = method.trainer_type(settings)(
        model=deepcopy(start),
        args=method.arguments(common(folder, settings.global_batch), settings, data),
        train_dataset=Dataset.from_dict(data.columns),
        processing_class=tokenizer,
    )
    trainer.task, trainer.store = "test", FolderStore(folder / "store")
    trainer.book = StepBook("test", data.order, np.zeros(9, dtype=np.int64), settings.global_batch)
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    if rewards:
        scores: list[RewardsByName] = [{"check": reward} for reward in rewards]
        trainer._scorer.score = lambda *_: scores
    return trainer


def trls(
    start: Any,
    tokenizer: Any,
    folder: Path,
    settings: GrpoSettings,
    *,
    rollouts: tuple[list[list[int]], list[list[int]]],
    rewards: Sequence[float | None],
    log_probs: list[list[float]] | None = None,
) -> Any:
    """trl's trainer, which gets these rollouts and rewards."""
    from datasets import Dataset
    from trl import GRPOTrainer

    method = method_of(settings)
    data = method.prepare([problem(0)], Template(tokenizer), settings, split_batch(settings, ranks=1))
    arguments = method.arguments(common(folder, len(rewards)), settings, data)

    def reward(**_: Any) -> list[float | None]:
        return list(rewards)

    def given(prompts: Any, trainer: Any) -> dict[str, Any]:
        prompt_ids, completion_ids = rollouts
        return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": log_probs}

    trainer = GRPOTrainer(
        model=deepcopy(start),
        reward_funcs=[reward],
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": ["a"] * len(rewards)}),
        processing_class=tokenizer,
        rollout_func=given,
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer


def drawn(trainer: Any) -> tuple[dict[str, Any], tuple[list[list[int]], list[list[int]]]]:
    """What our trainer makes of a phase, and its rollouts: token ids of prompts and of answers."""
    kept: list[Any] = []
    read = trainer._reader.read

    def reading(prompts: Any, answers: Any) -> Any:
        kept.append(([list(each) for each in prompts], [list(each) for each in answers]))
        return read(prompts, answers)

    trainer._reader.read = reading
    return trainer._generate_and_score_completions(None), kept[0]


def gradients(trainer: Any, inputs: dict[str, Any]) -> tuple[float, dict[str, torch.Tensor]]:
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    return float(loss.detach()), {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}


def assert_equal(first: Any, second: Any) -> None:
    assert first[0] == pytest.approx(second[0], abs=1e-6)
    assert first[1].keys() == second[1].keys()
    assert max(float(grad.abs().max()) for grad in first[1].values()) > 1e-4
    for name, grad in first[1].items():
        torch.testing.assert_close(grad, second[1][name], atol=1e-6, rtol=1e-4)


def test_trl_gets_dapos_clipping_and_dr_grpos_advantages_unless_the_settings_say_otherwise(
    student: Any, tmp_path: Path
) -> None:
    """The comparisons below give both trainers the same arguments, so they would not see a wrong one."""

    def arguments(**grpo: Any) -> Any:
        settings = settings_of(**grpo)
        data = method_of(settings).prepare([problem(0)], Template(student), settings, split_batch(settings, ranks=1))
        return method_of(settings).arguments(common(tmp_path, settings.global_batch), settings, data)

    given = arguments()
    assert (given.loss_type, given.beta, given.epsilon, given.epsilon_high) == ("dapo", 0.0, 0.2, 0.28)
    assert (given.scale_rewards, given.mask_truncated_completions) == ("none", True)
    assert (given.num_generations, given.use_vllm, given.reward_weights) == (GROUP, False, [1.0])
    other = arguments(loss="dr_grpo", clip_high=0.3, rewards={"check": 1.0, "boxed": 0.25})
    assert (other.loss_type, other.epsilon_high, other.reward_weights) == ("dr_grpo", 0.3, [1.0, 0.25])


@pytest.mark.parametrize("loss", ["dapo", "dr_grpo", "grpo"])
@pytest.mark.parametrize("masked", [True, False])
def test_loss_and_gradients_are_trls(start: Any, student: Any, tmp_path: Path, loss: str, masked: bool) -> None:
    settings = settings_of(loss=loss, mask_truncated=masked)
    trainer = ours(start, student, tmp_path, settings, REWARDS)
    inputs, rollouts = drawn(trainer)
    lengths = {len(answer) for answer in rollouts[1]}
    assert len(lengths) > 1, "rollouts of one length show nothing about the mean"
    theirs = trls(start, student, tmp_path, settings, rollouts=rollouts, rewards=REWARDS)
    expected = theirs._generate_and_score_completions([{"prompt": "a"}] * len(REWARDS))
    assert_equal(gradients(trainer, inputs), gradients(theirs, expected))


def test_later_updates_of_a_phase_are_clipped_as_trls(start: Any, student: Any, tmp_path: Path) -> None:
    """After the first update the weights are no longer those that drew."""
    settings, rewards = settings_of(updates=2, mask_truncated=False), REWARDS * 2
    trainer = ours(start, student, tmp_path, settings, rewards)
    inputs, rollouts = drawn(trainer)
    theirs = trls(start, student, tmp_path, settings, rollouts=rollouts, rewards=rewards)
    expected = theirs._generate_and_score_completions([{"prompt": "a"}] * len(rewards))
    for model in (trainer.model, theirs.model):
        torch.manual_seed(3)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.02)
    assert_equal(gradients(trainer, inputs), gradients(theirs, expected))
    assert trainer._metrics["train"]["clip_ratio/region_mean"][0] > 0


@pytest.mark.parametrize("loss", ["dapo", "dr_grpo", "grpo"])
def test_a_rollout_without_a_verdict_takes_no_part(start: Any, student: Any, tmp_path: Path, loss: str) -> None:
    """The loss is that of trl's trainer on groups without it."""
    lost = [1, 6]
    rewards = [None if place in lost else reward for place, reward in enumerate(REWARDS)]
    trainer = ours(start, student, tmp_path, settings_of(loss=loss, mask_truncated=False), rewards)
    inputs, (prompts, answers) = drawn(trainer)
    kept = [place for place in range(len(rewards)) if place not in lost]
    rest = [prompts[place] for place in kept], [answers[place] for place in kept]
    smaller = settings_of(loss=loss, mask_truncated=False, group_size=GROUP - 1)
    theirs = trls(start, student, tmp_path, smaller, rollouts=rest, rewards=[rewards[place] for place in kept])
    expected = theirs._generate_and_score_completions([{"prompt": "a"}] * len(kept))
    assert_equal(gradients(trainer, inputs), gradients(theirs, expected))
    shard = trainer._entry["shard"]
    assert (shard["rows"], trainer._entry["no_verdict"]) == (8, 2)


def test_every_rollout_is_a_row(start: Any, student: Any, tmp_path: Path) -> None:
    import gzip

    trainer = ours(start, student, tmp_path, settings_of(rewards={"check": 1.0, "boxed": 0.5}))
    _, (_, answers) = drawn(trainer)
    name = trainer._entry["shard"]["name"]
    lines = gzip.decompress(trainer.store.read(name)).splitlines()
    rows = [parse_row(line, TrainingRollout, "here") for line in lines]
    assert name == "rollouts/00000001.jsonl.gz"
    assert [row.group for row in rows] == [0] * GROUP + [1] * GROUP
    assert [row.tokens_out for row in rows] == [len(answer) for answer in answers]
    assert all(row.rewards == {"check": 0.0, "boxed": 0.0} and row.reward == 0.0 for row in rows)
    assert {row.finish for row in rows} == {"stop", "length"}


def test_rollouts_follow_from_the_seed_whatever_shares_their_batch(start: Any, student: Any, tmp_path: Path) -> None:
    together = drawn(ours(start, student, tmp_path, settings_of(), REWARDS))[1]
    one_by_one = drawn(ours(start, student, tmp_path, settings_of(rollout_batch=1), REWARDS))[1]
    assert together == one_by_one
    assert len({tuple(answer) for answer in together[1]}) > 1


def test_a_training_that_continues_knows_what_it_has_spent(start: Any, student: Any, tmp_path: Path) -> None:
    """By the log, which a checkpoint holds: a budget counts the steps before it too."""
    trainer = ours(start, student, tmp_path, settings_of(updates=2))
    entry = {"groups": [[0, 0.0, 1.0]], "tokens": 30}
    trainer.state.log_history = [
        {"step": 1, "loss": 0.5, "tokens": 100, ROLLOUTS: entry},
        {"step": 2, "loss": 0.5, "tokens": 100},
        {"step": 3, "loss": 0.5, "tokens": 80, ROLLOUTS: {**entry, "tokens": 20}},
        {"step": 4, "loss": 0.5, "tokens": 80},
    ]
    trainer._recall()
    assert [trainer.book.spent(step) for step in range(1, 5)] == [130, 230, 330, 410]
    trainer._recall()
    assert trainer.book.spent(4) == 410


class StandInEngine:
    """In place of trl's VLLMGeneration: like a colocated vLLM it samples by torch's own generator, in its own numbers.

    Attributes:
        drawn: log-probs of the last rollouts, by token.
        synced: how often it got the weights.
    """

    drawn: ClassVar[list[list[float]]]
    synced: ClassVar[int]

    def __init__(self, *, model: Any, max_completion_length: int, **given: Any) -> None:
        self.model, self.most, self.given = model, max_completion_length, given

    def sync_weights(self) -> None:
        type(self).synced += 1

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any) -> Any:
        assert images is None
        # A server is asked once for each group: `num_generations` answers to every such prompt.
        assert prompts == [prompt for prompt in prompts[::num_generations] for _ in range(num_generations)]
        answers, log_probs = zip(*map(self._one, prompts), strict=True)
        type(self).drawn = list(log_probs)
        return prompts, list(answers), [[[one] for one in row] for row in log_probs], None

    @torch.no_grad()
    def _one(self, prompt: list[int]) -> tuple[list[int], list[float]]:
        ids, log_probs = list(prompt), list[float]()
        while len(log_probs) < self.most and (not log_probs or ids[-1] != END):
            logits = self.model(input_ids=torch.tensor([ids])).logits[0, -1]
            # Another engine rounds differently; the correction makes up for it.
            scores = torch.log_softmax(logits * 1.02, dim=-1)
            ids.append(int(torch.multinomial(scores.exp(), 1)))
            log_probs.append(float(scores[ids[-1]]))
        return ids[len(prompt) :], log_probs


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[StandInEngine]:
    monkeypatch.setattr("trl.trainer.grpo_trainer.VLLMGeneration", StandInEngine)
    monkeypatch.setattr("components.train.rollouts.check_vllm.require_vllm", lambda: None)
    monkeypatch.setattr(StandInEngine, "drawn", [], raising=False)
    monkeypatch.setattr(StandInEngine, "synced", 0, raising=False)
    return StandInEngine


@pytest.mark.parametrize("loss", ["dapo", "grpo"])
def test_with_vllms_rollouts_loss_and_gradients_are_trls_too(
    start: Any, student: Any, tmp_path: Path, loss: str, engine: type[StandInEngine]
) -> None:
    settings = settings_of(loss=loss, mask_truncated=False, vllm={})
    trainer = ours(start, student, tmp_path, settings, REWARDS)
    inputs, rollouts = drawn(trainer)
    log_probs = engine.drawn
    assert len({len(answer) for answer in rollouts[1]}) > 1
    assert engine.synced == 1
    ratios = inputs["importance_sampling_ratio"]
    assert float((ratios - 1).abs().max()) > 1e-3, "the engine's own numbers are corrected"
    theirs = trls(start, student, tmp_path, settings, rollouts=rollouts, rewards=REWARDS, log_probs=log_probs)
    expected = theirs._generate_and_score_completions([{"prompt": "a"}] * len(REWARDS))
    assert_equal(gradients(trainer, inputs), gradients(theirs, expected))


def test_vllm_gets_what_the_settings_say(start: Any, student: Any, tmp_path: Path, engine: type[StandInEngine]) -> None:
    vllm = {"gpu_memory_utilization": 0.4, "sleep": True}
    given = ours(start, student, tmp_path, settings_of(temperature=0.7, top_p=0.9, vllm=vllm)).vllm_generation.given
    expected = {
        "mode": "colocate",
        "tensor_parallel_size": 1,
        "gpu_memory_utilization": 0.4,
        "enable_sleep_mode": True,
        "max_model_length": 64,
        "temperature": 0.7,
        "top_p": 0.9,
        "repetition_penalty": 1.0,
    }
    assert {name: given[name] for name in expected} == expected


def test_vllms_rollouts_follow_the_seed_and_the_phase(
    start: Any, student: Any, tmp_path: Path, engine: type[StandInEngine]
) -> None:
    """On one machine and build: vLLM draws by this process's generator."""
    first, again = (drawn(ours(start, student, tmp_path, settings_of(vllm={})))[1] for _ in range(2))
    assert first == again
    later = ours(start, student, tmp_path, settings_of(vllm={}))
    later.state.global_step = 1
    assert drawn(later)[1] != first


def test_ranks_that_hold_one_vllm_together_draw_the_same_numbers() -> None:
    """Each of them samples all rollouts of the group: with other numbers they would not have one text."""

    def seeds(**vllm: Any) -> list[int]:
        options = GrpoOptions(vllm=VllmRollouts(**vllm))
        return [phase_seed(RolloutPlan(options, 64, 1, seed=5), 3, rank) for rank in range(4)]

    alone, pairs = seeds(), seeds(tensor_parallel=2)
    assert len(set(alone)) == 4
    assert pairs[0] == pairs[1] != pairs[2] == pairs[3]
    assert seeds(mode="server", server_url="http://rollouts:8000") == alone
