"""The tensors of a model that only its config.json shows: a decoder with gated MLPs, as Llama and Qwen2 are."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.models.stored.stored_model import CONFIG, StoredModel, StoredTensor
from components.shared.errors import ModelError, NotFoundError

NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
WITH_BIASES = ("qwen2",)
"""Model types whose queries, keys and values have biases without a key of config.json for them."""


def model_by_config(path: Path, reference: str) -> StoredModel:
    """A model as its config.json describes it, without any file of weights.

    Args:
        path: of the config.json.
        reference: how a person names the model.

    Raises:
        ModelError: the file cannot be read, or does not describe a decoder with gated MLPs.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}", remedy="give the model's folder or its config.json"
        ) from None
    model = StoredModel(reference, config, {}, frozenset({CONFIG}), _nothing_to_read)
    text = model.text_config
    absent = [name for name in NEEDED if not isinstance(text.get(name), int)]
    if absent or any(text.get(name) for name in EXPERTS):
        raise ModelError(
            f"{path} alone does not show the shape of {reference!r}: "
            + (f"it lacks {', '.join(absent)}" if absent else "it is a mixture of experts"),
            rule="without weights, the shape is that of a decoder with gated MLPs, such as Llama and Qwen2",
            remedy="give a folder with the headers of its safetensors: the complete model",
        )
    tensors = {name: _tensor(shape) for name, shape in _shapes(text)}
    return StoredModel(reference, config, tensors, frozenset({CONFIG}), _nothing_to_read)


def _nothing_to_read(name: str) -> bytes:
    raise NotFoundError(f"only {CONFIG} is known of this model, not {name}", remedy="give the complete folder")


def _tensor(shape: tuple[int, ...]) -> StoredTensor:
    return StoredTensor("BF16", shape, 0, 0, CONFIG)


def _shapes(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all weights."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for layer in range(config["num_hidden_layers"]):
        yield from ((f"model.layers.{layer}.{name}", shape) for name, shape in _layer(config))
    yield "model.norm.weight", (hidden,)
    if not config.get("tie_word_embeddings", False):
        yield "lm_head.weight", (vocabulary, hidden)


def _layer(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, inside, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    width = config.get("head_dim") or hidden // heads
    queries, keys = heads * width, (config.get("num_key_value_heads") or heads) * width
    for name, rows in (("q", queries), ("k", keys), ("v", keys)):
        yield f"self_attn.{name}_proj.weight", (rows, hidden)
        if config.get("attention_bias") or config.get("model_type") in WITH_BIASES:
            yield f"self_attn.{name}_proj.bias", (rows,)
    yield "self_attn.o_proj.weight", (hidden, queries)
    for name in ("gate", "up"):
        yield f"mlp.{name}_proj.weight", (inside, hidden)
    yield "mlp.down_proj.weight", (hidden, inside)
    for name in ("input_layernorm", "post_attention_layernorm"):
        yield f"{name}.weight", (hidden,)
