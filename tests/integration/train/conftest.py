"""A random tiny Llama with a byte-level tokenizer, and a select output with rows for both methods."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.shared.manifest import Manifest
from components.shared.output import Output, RowWriter
from components.shared.rows import KtoRow, Message, Scores, SftRow
from components.shared.settings import Settings
from components.train.settings import TrainSettings
from components.train.train import train_model

MARKS = ["<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE = (
    "{%- for m in messages -%}{{- '<|' + m['role'] + '|>' + m['content'] + '<|end|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
WORDS = ["sun", "moon", "tree", "river", "stone", "cloud", "bird", "fish"]
ROWS = 96


class SelectSettings(Settings):
    """Settings of the step whose output is made up here."""

    seed: int = 1


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder: 2 layers of width 32, random weights."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {name: place for place, name in enumerate([*MARKS, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
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
        max_position_embeddings=256,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    folder = tmp_path_factory.mktemp("student")
    LlamaForCausalLM(config).save_pretrained(folder)
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
        """Settings for two gloo ranks; what is given comes on top."""
        return make_settings(**values)

    def train(self, start: str = "", root: str = "", **values: Any) -> Manifest:
        """Run the step."""
        settings = make_settings(**values)
        return train_model(
            root or self.root, f"train-{settings.method}", settings, self.selected, start or str(self.student)
        )

    def losses(self, manifest: Manifest, root: str = "") -> list[dict[str, Any]]:
        """The record of every step without the seconds, which no two runs share."""
        records = json.loads((Path(root or self.root) / manifest.address / "losses.json").read_text())
        return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


@pytest.fixture
def bench(tmp_path: Path, student: Path) -> Bench:
    """96 demonstrations, and as many rows of which every third is undesirable."""
    root = str(tmp_path / "store")
    return Bench(root, write_selected(root), student)


def write_selected(root: str) -> Manifest:
    """Write the select output into a store."""
    draw = random.Random(3)
    output = Output(root, "select", 1, SelectSettings(), {})
    sft, kto = RowWriter(output, "sft"), RowWriter(output, "kto")
    for number in range(ROWS):
        word = " ".join(draw.choices(WORDS, k=draw.randint(1, 4)))
        prompt = (Message(role="user", content=f"Repeat: {word}"),)
        sft.add(SftRow(id=str(number), prompt=prompt, completion=word, origin="teacher", scores=Scores()))
        good = number % 3 > 0
        answer = word if good else word[::-1]
        origin = "teacher" if good else "student"
        kto.add(KtoRow(id=str(number), prompt=prompt, completion=answer, label=good, origin=origin, scores=Scores()))
    sft.close()
    kto.close()
    return output.finish("select/1")


def make_settings(**values: Any) -> TrainSettings:
    """Settings for two gloo ranks; `values` come on top."""
    common = {
        "precision": "fp32",
        "learning_rate": 2e-3,
        "epochs": 1,
        "global_batch": 8,
        "cutoff": 128,
        "kto": {"kl_batch": 8},
        "gradient_checkpointing": False,
        "checkpoint_steps": 0,
        "launch": {"processes_per_node": 2},
    }
    return TrainSettings.model_validate(common | values)
