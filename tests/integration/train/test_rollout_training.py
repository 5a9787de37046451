"""GRPO on a tiny Llama with real checks: the reward rises, every rollout is a row, and a killed training continues."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.launch.here.fork_server import ForkServer, forking_jobs
from components.shared.errors import InputError, SettingsError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rollout_rows import Routed, TrainingRollout
from components.shared.rows import Check
from components.shared.settings import Settings
from components.shared.step import Product
from components.train.train import summarise
from tests.integration.train.conftest import Bench, save_chat_model
from tests.integration.train.test_resume import assert_continues, killed

pytestmark = pytest.mark.timeout(1500)
DIGITS = "0123456789"
PROBLEMS = 12
COMMON = {
    "method": "grpo",
    "learning_rate": 5e-3,
    "global_batch": 64,
    "micro_batch": 64,
    "max_length": 32,
    "scheduler": "constant",
}
GRPO = {"group_size": 16, "max_response": 1, "mask_truncated": False}


class RouteSettings(Settings):
    """Settings of a made-up route step."""

    seed: int = 1


@pytest.fixture(scope="session")
def pupil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model that writes digits, so that one of fourteen answers of one token is right by chance."""
    return save_chat_model(tmp_path_factory.mktemp("pupil"), sorted(DIGITS), max_position_embeddings=64)


def problem(number: int, answer: str = "7") -> Routed:
    """A problem whose answer is one digit."""
    return Routed(
        id=str(number),
        source="made up",
        line=number + 1,
        instruction=f"{number}",
        check=Check(kind="math", answer=answer),
        type="math",
        primary="digits",
        secondary="seven",
        tries=8,
        successes=1,
        pool="mixed",
    )


def write_routed(root: str, problems: list[Routed]) -> Manifest:
    """A route step's output, with these problems for RL."""
    output = Output(Library(root), Product("route", 1, Routed.content), RouteSettings(), {})
    writer = RowWriter(output, "rl")
    for one in problems:
        writer.add(one)
    writer.close()
    return output.finish()


@pytest.fixture
def class_room(tmp_path: Path, pupil: Path, fork_server: ForkServer) -> Iterator[Bench]:
    """12 problems, a pupil, and trainings that are forked."""
    with forking_jobs(fork_server):
        yield in_store(str(tmp_path / "store"), pupil)


def in_store(root: str, pupil: Path, problems: list[Routed] | None = None) -> Bench:
    chosen = [problem(number) for number in range(PROBLEMS)] if problems is None else problems
    return Bench(root, write_routed(root, chosen), pupil)


def train(room: Bench, grpo: dict[str, Any] | None = None, **values: Any) -> Manifest:
    return room.train(**{**COMMON, **values}, grpo={**GRPO, **(grpo or {})})


def rollouts(room: Bench, manifest: Manifest) -> list[TrainingRollout]:
    return list(Library(room.root).read_rows(manifest, TrainingRollout, part="rollouts"))


def test_the_reward_rises_on_any_number_of_ranks(class_room: Bench, tmp_path: Path) -> None:
    """Ranks and micro-batches draw the same first rollouts, and learn the same from them."""
    alone = train(class_room, epochs=8, micro_batch=64, launch={"processes_per_node": 1})
    other = in_store(str(tmp_path / "other"), class_room.student)
    both = train(other, epochs=8, micro_batch=16)
    first, second = class_room.losses(alone), other.losses(both)
    for records in (first, second):
        rewards = [record["reward"] for record in records]
        assert len(rewards) == 24
        assert sum(rewards[:3]) / 3 < 0.3
        assert sum(rewards[-3:]) / 3 > 0.8
        assert {"useful_groups", "entropy", "response_tokens", "truncated_share", "clip_share"} <= records[0].keys()
    assert first[0]["reward"] == second[0]["reward"]
    assert first[0]["loss"] == pytest.approx(second[0]["loss"], abs=1e-6)
    assert first[0]["gradient_norm"] == pytest.approx(second[0]["gradient_norm"], rel=1e-4)
    assert "| rollouts | 1,536 of 1,536 tokens |" in summarise("train-grpo", alone)
    rows = rollouts(class_room, alone)
    assert len(rows) == alone.counts["rollouts"] == 24 * 64
    assert [row.reward for row in rows[:64]] == [row.reward for row in rollouts(other, both)[:64]]
    for step, record in enumerate(first, start=1):
        earned = [row.reward for row in rows if row.step == step and row.reward is not None]
        assert sum(earned) / 64 == pytest.approx(record["reward"])


def test_problems_without_signal_are_left_out_of_the_next_epoch(class_room: Bench, tmp_path: Path) -> None:
    unreachable = [problem(number, "12345" if number % 2 else "7") for number in range(8)]
    room = in_store(str(tmp_path / "other"), class_room.student, unreachable)
    chosen: dict[str, Any] = {"epochs": 3, "learning_rate": 1e-6, "deepspeed": {"stage": 2}}
    manifest = train(room, **chosen, grpo={"group_size": 32})
    never = {str(number) for number in range(1, 8, 2)}
    drawn: dict[int, set[str]] = {}
    for row in rollouts(room, manifest):
        drawn.setdefault((row.step - 1) // 4, set()).add(row.id)
    assert never < drawn[0]
    assert not never & drawn[1]
    assert never <= drawn[2]
    kept = train(room, **chosen, grpo={"group_size": 32, "leave_out": False})
    assert all(len([row for row in rollouts(room, kept) if row.id == one]) == 3 * 32 for one in never)
    assert kept.counts["groups"] == 24
    assert kept.counts["groups_all_zero"] >= 12


def test_a_killed_training_continues_with_the_same_rollouts(
    class_room: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    grpo = {**GRPO, "group_size": 8, "updates": 2}
    chosen: dict[str, Any] = {
        **COMMON,
        "global_batch": 16,
        "epochs": 20,
        "checkpoint_steps": 20,
        "learning_rate": 1e-3,
        "grpo": grpo,
    }
    root = str(tmp_path / "killed")
    newest = killed(class_room, root, **chosen)
    stored = {path: path.read_bytes() for path in Path(root).glob("train/*/rollouts/*")}
    uninterrupted = class_room.train(**chosen)
    resumed = assert_continues(class_room, uninterrupted, root, newest, capfd, **chosen)
    assert len(stored) >= newest // 2, "a drawing is stored before its two steps"
    assert {path: path.read_bytes() for path in stored} == stored, "none is lost"
    before, after = ([shard for shard in made.shards if "rollouts/" in shard.name] for made in (uninterrupted, resumed))
    assert len(before) == 60
    assert before == after


@pytest.mark.parametrize(("stage", "lora"), [(2, True), (3, False)])
def test_adapters_and_zero_stages(class_room: Bench, stage: int, lora: bool) -> None:
    chosen: dict[str, Any] = {"lora": {"rank": 4, "keep_adapter": True}, "learning_rate": 2e-2} if lora else {}
    manifest = train(class_room, epochs=4, deepspeed={"stage": stage}, **chosen)
    rewards = [record["reward"] for record in class_room.losses(manifest)]
    assert sum(rewards[-3:]) > sum(rewards[:3])
    assert (manifest.counts["parameters_trained"] < manifest.counts["parameters"]) == lora
    assert any(shard.name.startswith("adapter/") for shard in manifest.shards) == lora


def test_the_adapters_of_an_earlier_epoch_have_its_rollouts(class_room: Bench, tmp_path: Path) -> None:
    """The model is the output of the training that ends there."""
    chosen: dict[str, Any] = {"epochs": 2, "lora": {"rank": 4, "keep_adapter": True}, "deepspeed": {"stage": 0}}
    train(class_room, **chosen, hand_over_epochs=[1])
    handed = train(class_room, **chosen, stop_after_epochs=1)
    other = in_store(str(tmp_path / "other"), class_room.student)
    trained = train(other, **chosen, stop_after_epochs=1)
    assert handed.counts["parameters_trained"] < handed.counts["parameters"]
    assert any(shard.name.startswith("adapter/") for shard in handed.shards)
    assert handed.digest == trained.digest
    assert len(rollouts(class_room, handed)) == 3 * 64


def test_a_problem_without_a_check_is_refused_before_the_job(class_room: Bench, tmp_path: Path) -> None:
    problems = [problem(0), problem(1).model_copy(update={"check": None})]
    room = in_store(str(tmp_path / "other"), class_room.student, problems)
    with pytest.raises(InputError, match="1 problem of 2 came without a check, the first: '1'") as refused:
        train(room)
    assert "collect these rows with a check" in str(refused.value.remedy)


def test_vllm_is_refused_where_it_cannot_run(class_room: Bench) -> None:
    with pytest.raises(SettingsError, match=r"grpo\.vllm is set, and this machine lacks the package vllm and a GPU"):
        train(class_room, grpo={"vllm": {}}, launch={"processes_per_node": 1})
