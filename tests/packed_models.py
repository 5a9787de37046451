"""Tiny random models by what is special about their attention or head; wide weights, so that every error shows."""

from array import array
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

from components.models.forward.example import Example

SHAPE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 4,
}
SINKS = {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 4}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "heads_of_their_own": ("llama", {"num_key_value_heads": 4}),
    "grouped_heads": ("llama", {}),
    "tied_head": ("llama", {"tie_word_embeddings": True}),
    "query_and_key_norms": ("qwen3", {}),
    "sliding_window": ("mistral", {"sliding_window": 4}),
    "soft_capped": ("gemma2", {"sliding_window": 4, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
    "sinks": ("gpt_oss", SINKS),
    "divided_logits": ("granite", {"logits_scaling": 4.0}),
    "scaled_logits": ("cohere", {"logit_scale": 0.25}),
    "biased_head": ("phi", {}),
    "two_windows": ("gemma3_text", {"sliding_window": 4}),
}


def make_packed_model(name: str, seed: int = 0, **sizes: Any) -> Any:
    """A model in evaluation mode; the same name and seed give the same weights."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    kind, changed = CONFIGS[name]
    config = AutoConfig.for_model(kind, **{**SHAPE, **changed, **sizes})
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()


def make_recurrent_model() -> Any:
    """Its configuration lacks layer types, and each layer has a state beside attention."""
    sizes = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8}
    torch.manual_seed(0)
    return transformers.FalconH1ForCausalLM(transformers.FalconH1Config(**SHAPE, **sizes)).eval()


def make_rows(*shapes: tuple[int, int, int]) -> list[Example]:
    """Rows from (number of a prompt, its tokens, tokens of the completion); equal numbers give equal prompts."""
    draw = np.random.default_rng(0)
    prompts: dict[int, array[int]] = {}
    rows = []
    for number, prompt, completion in shapes:
        ids = prompts.setdefault(number, array("i", draw.integers(5, SHAPE["vocab_size"], prompt).tolist()))
        rows.append(Example(ids, array("i", draw.integers(5, SHAPE["vocab_size"], completion).tolist())))
    return rows


ROWS = ((0, 5, 4), (1, 3, 7), (0, 5, 6), (2, 1, 1), (0, 5, 1), (3, 9, 2))
"""Rows of which three share a prompt; the shortest prompt and completions have one token."""


def log_probs_alone(model: Any, row: Example) -> torch.Tensor:
    """Log-probs of a row's labels by the model's own forward pass over that row."""
    ids = torch.tensor([[*row.prompt, *row.completion]])
    logits = model(input_ids=ids, use_cache=False).logits[0, len(row.prompt) - 1 : -1].float()
    return logits.log_softmax(1).gather(1, torch.tensor(row.completion)[:, None])[:, 0]
