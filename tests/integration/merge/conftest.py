"""Tiny random Llamas with the demo's byte tokenizer."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from demo.make_tokenizer import save_tokenizer

torch.set_num_threads(1)


def save_tiny(folder: Path, seed: int, hidden: int = 32, near: Path | None = None) -> Path:
    """Save a random model; with `near`, that model plus small noise, as fine-tuning would leave it."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=261,
        hidden_size=hidden,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=4,
    )
    model = LlamaForCausalLM(config) if near is None else LlamaForCausalLM.from_pretrained(near)
    if near is not None:
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(torch.randn_like(weights) * 0.02)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A base and three models near it."""
    home = tmp_path_factory.mktemp("models")
    base = save_tiny(home / "base", seed=1)
    tuned = {name: save_tiny(home / name, seed, near=base) for seed, name in enumerate(("sft", "kto", "third"), 2)}
    return {name: str(folder) for name, folder in {"base": base, **tuned}.items()}
