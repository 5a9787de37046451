"""Chat models of a few thousand random weights, with the demo's byte-level tokenizer: what most tests run on."""

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from demo.make_tokenizer import save_tokenizer

SHAPE: dict[str, Any] = {
    "vocab_size": 261,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": 4,
    "pad_token_id": 0,
}
"""`bos_token_id` and the others are the tokenizer's own."""


def tiny_config(**changed: Any) -> LlamaConfig:
    """The configuration of a tiny model, with some of it changed."""
    return LlamaConfig(**{**SHAPE, **changed})


def save_tiny_model(folder: Path, seed: int = 0, **changed: Any) -> Path:
    """Save a model with random weights, and its tokenizer; the same seed gives the same weights."""
    # Two cores are shared with whatever else the tests have started.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    config = tiny_config(**changed)
    LlamaForCausalLM(config).to(config.dtype or torch.float32).save_pretrained(folder)
    save_tokenizer(folder)
    return folder
