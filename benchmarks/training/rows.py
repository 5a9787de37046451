"""The rows that everyone trains on: random letters of log-normal lengths, one token a letter."""

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from components.models.forward.example import Example
from demo.make_tokenizer import make_tokenizer

SEQUENCES, SEED = 64, 0
PROMPT_MEDIAN, COMPLETION_MEDIAN, SIGMA = 80, 120, 0.7
SHORTEST, LONGEST = 4, 500
"""Tokens of a prompt or a completion; together they stay below TRL's max_length of 1,024, so nothing is truncated."""
WORDS = 8192
SHAPE: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "attention_dropout": 0.0,
}


@dataclass(frozen=True)
class TextRow:
    """A prompt and a completion as text, and whether the completion is desirable."""

    prompt: str
    completion: str
    desirable: bool

    def example(self) -> Example:
        """Its tokens, with the end token that TRL adds too."""
        tokenizer = make_tokenizer()
        prompt, completion = (tokenizer(text)["input_ids"] for text in (self.prompt, self.completion))
        return Example(array("i", prompt), array("i", [*completion, tokenizer.eos_token_id]))


def make_model(vocabulary: int = WORDS) -> LlamaForCausalLM:
    """A random Llama of 4 layers, 256 wide; the same weights each time."""
    torch.manual_seed(SEED)
    tokens = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": 4}
    return LlamaForCausalLM(LlamaConfig(**SHAPE | {"vocab_size": vocabulary}, **tokens))


def make_rows(shared: bool, sequences: int = SEQUENCES) -> list[TextRow]:
    """The sequences: each with a prompt of its own, or two for each prompt, a desirable and an undesirable one."""
    draw = np.random.default_rng(SEED)
    prompts = [_text(draw, PROMPT_MEDIAN) for _ in range(sequences // (2 if shared else 1))]
    completions = [_text(draw, COMPLETION_MEDIAN) for _ in range(sequences)]
    return [
        TextRow(prompts[number // 2 if shared else number], completion, number % 2 == 0)
        for number, completion in enumerate(completions)
    ]


def _text(draw: np.random.Generator, median: int) -> str:
    length = int(np.clip(draw.lognormal(np.log(median), SIGMA), SHORTEST, LONGEST))
    return "".join(chr(letter) for letter in draw.integers(ord("a"), ord("z") + 1, length))
