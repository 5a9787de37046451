"""A random tiny Llama with a byte-level tokenizer, and a select output with rows for all methods."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.launch.here.fork_server import ForkServer, forking_jobs
from components.models.reference import as_parent
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter, address_of
from components.shared.rows import KtoRow, Message, Pair, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product
from components.train.methods.registry import parse_train_settings
from components.train.settings import TrainSettings
from components.train.step import TRAINED
from components.train.train import train_model
from pipelines.local.fork_steps import LIBRARIES

MARKS = ["<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE = (
    "{%- for m in messages -%}{{- '<|' + m['role'] + '|>' + m['content'] + '<|end|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
WORDS = ["sun", "moon", "tree", "river", "stone", "cloud", "bird", "fish"]
ROWS = 96


class SelectSettings(Settings):
    """Settings of a made-up select step."""

    seed: int = 1


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder: 2 layers of width 32, random weights."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    folder = tmp_path_factory.mktemp("student")
    return save_chat_model(folder, letters, max_position_embeddings=256, tie_word_embeddings=True)


def save_chat_model(folder: Path, letters: Sequence[str], **config: Any) -> Path:
    """Save a random Llama and a tokenizer with one token for each letter; `config` sets what the models differ in."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {name: place for place, name in enumerate([*MARKS, *letters])}
    plain = Tokenizer(models.BPE(vocabulary, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    plain.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<|pad|>", eos_token="<|end|>")
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(7)
    shape = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
        **config,
    )
    LlamaForCausalLM(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Bench:
    """A store with a select output, a student, and what tests do with them."""

    root: str
    selected: Manifest
    student: Path

    def at(self, root: str) -> "Bench":
        """The same in another store."""
        return Bench(root, write_selected(root), self.student)

    def settings(self, **values: Any) -> TrainSettings:
        """Settings for two gloo ranks; `values` override them."""
        return make_settings(**values)

    def train(self, start: str = "", root: str = "", **values: Any) -> Manifest:
        """Run the step."""
        settings = make_settings(**values)
        return train_model(
            Library(root or self.root), f"train-{settings.method}", settings, self.selected, start or str(self.student)
        )

    def address(self, **values: Any) -> str:
        """Where the output of a training is stored, in any store."""
        inputs = {"dataset": self.selected.parent, "start": as_parent(str(self.student))}
        return address_of(TRAINED, make_settings(**values), inputs)

    def losses(self, manifest: Manifest, root: str = "") -> list[dict[str, Any]]:
        """The record of every step without its times, which no two runs share."""
        lines = (Path(root or self.root) / manifest.address / "losses.jsonl").read_text().splitlines()
        times = {"seconds", "tokens_per_second"}
        return [{name: value for name, value in json.loads(line).items() if name not in times} for line in lines]


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """A process that keeps the libraries of trainings loaded, as that of a local run does."""
    server = ForkServer(LIBRARIES, new_interpreter=True)
    yield server
    server.close()


@pytest.fixture
def bench(tmp_path: Path, student: Path, fork_server: ForkServer) -> Iterator[Bench]:
    """96 demonstrations, as many rows of which every third is undesirable, and as many pairs.

    Trainings are forked, as the steps of a local run are. One with an environment of its own starts from scratch, and
    so does what a test starts as a process: the trainings that are killed, and those of two machines.
    """
    root = str(tmp_path / "store")
    with forking_jobs(fork_server):
        yield Bench(root, write_selected(root), student)


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory, student: Path) -> Bench:
    """A store for the trainings that others are compared with. One that several tests train is found, after the first.

    What is not in the key (the number of processes, micro-batches) is that of the first. Tests take `bench` too, whose
    trainings are forked.
    """
    root = str(tmp_path_factory.mktemp("references"))
    return Bench(root, write_selected(root), student)


def write_selected(root: str) -> Manifest:
    """Write the select output into a store."""
    draw = random.Random(3)
    output = Output(Library(root), Product("select", 1, "select/1"), SelectSettings(), {})
    sft, kto, pairs = (RowWriter(output, part) for part in ("sft", "kto", "pairs"))
    for number in range(ROWS):
        word = " ".join(draw.choices(WORDS, k=draw.randint(1, 4)))
        prompt = (Message(role="user", content=f"Repeat: {word}"),)
        sft.add(SftRow(id=str(number), prompt=prompt, completion=word, origin="teacher", scores=Scores()))
        good = number % 3 > 0
        answer = word if good else word[::-1]
        origin = "teacher" if good else "student"
        kto.add(KtoRow(id=str(number), prompt=prompt, completion=answer, label=good, origin=origin, scores=Scores()))
        pairs.add(pair(str(number), prompt, word))
    for writer in (sft, kto, pairs):
        writer.close()
    return output.finish()


def pair(number: str, prompt: tuple[Message, ...], word: str) -> Pair:
    """The word rather than the word backwards."""
    scores = {"chosen_scores": Scores(total=1.0), "rejected_scores": Scores(), "margin": 1.0}
    origins = {"chosen_origin": "teacher", "rejected_origin": "student"}
    return Pair.model_validate(
        {"id": number, "prompt": prompt, "chosen": word, "rejected": word[::-1], **origins, **scores}
    )


def make_settings(**values: Any) -> TrainSettings:
    """Settings for two gloo ranks; `values` override them."""
    common = {
        "precision": "fp32",
        "learning_rate": 2e-3,
        "epochs": 1,
        "global_batch": 8,
        "max_length": 128,
        "gradient_checkpointing": False,
        "checkpoint_steps": 0,
        "launch": {"processes_per_node": 2},
    }
    own: dict[str, Any] = {"kto": {"kl_batch": 8}} if values.get("method") == "kto" else {}
    return parse_train_settings(common | own | values)
