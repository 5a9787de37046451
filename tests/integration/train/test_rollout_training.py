"""GRPO on a tiny Llama with real checks: the reward rises, every rollout is a row, and a killed training continues."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.launch.here.fork_server import ForkServer, forking_jobs
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import Check, Routed, TrainingRollout
from components.shared.settings import Settings
from components.shared.step import Product
from tests.integration.train.conftest import MARKS, TEMPLATE, Bench

pytestmark = pytest.mark.timeout(1500)
LETTERS = "0123456789adeklnosty "
PROBLEMS = 12
COMMON = {
    "method": "grpo",
    "learning_rate": 5e-3,
    "global_batch": 64,
    "micro_batch": 32,
    "max_length": 32,
    "scheduler": "constant",
}
GRPO = {"group_size": 16, "max_response": 4}


class RouteSettings(Settings):
    """Settings of a made-up route step."""

    seed: int = 1


@pytest.fixture(scope="session")
def pupil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model that writes digits and a few letters, so that one of eight answers is right by chance."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(letter.replace(" ", "Ġ") for letter in LETTERS)
    vocabulary = {name: place for place, name in enumerate([*MARKS, *letters])}
    plain = Tokenizer(models.BPE(vocabulary, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    plain.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<|pad|>", eos_token="<|end|>")
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    folder = tmp_path_factory.mktemp("pupil")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def problem(number: int, answer: str = "7") -> Routed:
    """A problem whose answer is one digit."""
    return Routed(
        id=str(number),
        source="made up",
        line=number + 1,
        instruction=f"tell an odd seed {number}",
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
    root = str(tmp_path / "store")
    with forking_jobs(fork_server):
        yield Bench(root, write_routed(root, [problem(number) for number in range(PROBLEMS)]), pupil)


def train(room: Bench, grpo: dict[str, Any] | None = None, **values: Any) -> Manifest:
    return room.train(**{**COMMON, **values}, grpo={**GRPO, **(grpo or {})})


def rollouts(room: Bench, manifest: Manifest) -> list[TrainingRollout]:
    return list(Library(room.root).read_rows(manifest, TrainingRollout, part="rollouts"))


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_reward_rises(class_room: Bench, ranks: int) -> None:
    manifest = train(class_room, epochs=10, launch={"processes_per_node": ranks})
    rewards = [record["reward"] for record in class_room.losses(manifest)]
    print(rewards, manifest.counts)
    assert len(rewards) == 30
    assert sum(rewards[:3]) / 3 < 0.3
    assert sum(rewards[-3:]) / 3 > 0.8
