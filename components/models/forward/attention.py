"""Attention over a packed batch without padding, as an attention implementation of transformers.

A model runs it after `register_packed_attention()` and `model.set_attn_implementation(PACKED)`. The segments come
through the model's forward as the keyword argument `segments`, which transformers passes down to every attention layer,
also when gradient checkpointing runs a layer again. There is no mask: cost is the sum of the squares of the
segments' lengths, not the square of the batch's.

Each feature of a layer that changes attention is computed (grouped heads, sliding windows, soft-capped scores,
attention sinks, dropout) or refused by name.
"""

# ruff: noqa: TID253 - imported by the job's own program only

from typing import Any

import torch

from components.models.forward.attention_kernels import REFERENCE, AttentionKernel, unmeasured_kernel
from components.models.forward.attention_layer import AttentionLayer, KeysAndValues
from components.models.forward.captured_keys import CapturedKeys
from components.models.forward.segments import Segments
from components.shared.errors import ModelError

PACKED = "tutelage_packed"
"""The implementation's name in transformers' registries."""

CHANGES_NOTHING = frozenset(
    {
        "position_ids",
        "cache_position",
        "use_cache",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "return_dict",
        "is_causal",
        "position_embeddings",
        "deterministic",
    }
)
"""Keyword arguments of attention functions that do not change what is computed here."""


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    segments: Segments | None = None,
    capture: CapturedKeys | None = None,
    kernel: AttentionKernel | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within segments, causally, and to each segment's prefix.

    Args:
        module: the attention layer; its `layer_idx` finds captured keys.
        query: [1, heads, tokens, width], rotated.
        key: [1, key-value heads, tokens, width], rotated.
        value: [1, key-value heads, tokens, value width].
        attention_mask: None, as `no_mask` returns.
        scaling: factor of the scores; None: the inverse square root of the width.
        dropout: probability that an attention weight is dropped.
        sliding_window: tokens that a token sees, itself included.
        softcap: bound of the scores, by tanh (Gemma 2).
        s_aux: a learned score for each head that takes part in the softmax alone (attention sinks).
        segments: the batch's segments.
        capture: keeps this pass's keys and values.
        kernel: computes the layers that it can; None: the one for these queries without a measurement.
        others: refused unless known to change nothing.

    Returns:
        The output [1, tokens, heads, value width], and None for the weights.

    Raises:
        ModelError: the layer has a feature that is not computed here, or gets no segments.
    """
    if segments is None:
        raise _refused(module, "it does not pass the segments of a packed batch to its attention layers")
    _require_computable(module, attention_mask, sliding_window, others)
    if query.shape[0] != 1 or query.shape[2] != sum(segments.lengths):
        raise ValueError(f"segments of {sum(segments.lengths)} tokens do not fit a query of shape {tuple(query.shape)}")
    states = KeysAndValues(key, value)
    if capture is not None:
        capture.keep(_index(module), states)
    layer = AttentionLayer(scaling, dropout, sliding_window, softcap, s_aux)
    kernel = kernel or unmeasured_kernel(query, layer)
    if kernel.why_not(query, layer):
        kernel = REFERENCE
    index = None if segments.captured is None else _index(module)
    return kernel.attend(query, states, segments, layer, index), None


def no_mask(**_: Any) -> None:
    """The mask function of packed attention: segments replace masks."""


def register_packed_attention() -> None:
    """Make the implementation known to transformers; a second call changes nothing."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(PACKED, packed_attention)
    AttentionMaskInterface.register(PACKED, no_mask)


def _index(module: torch.nn.Module) -> int:
    index = getattr(module, "layer_idx", None)
    if not isinstance(index, int):
        raise _refused(module, "its attention layers lack a layer_idx")
    return index


def _require_computable(
    module: torch.nn.Module,
    attention_mask: torch.Tensor | None,
    sliding_window: int | None,
    others: dict[str, Any],
) -> None:
    if unknown := sorted(name for name, given in others.items() if given is not None and name not in CHANGES_NOTHING):
        raise _refused(module, f"its attention layers use {', '.join(unknown)}")
    if attention_mask is not None:
        raise _refused(module, "it adds a mask of its own to attention")
    is_causal = others.get("is_causal")
    if not (getattr(module, "is_causal", True) if is_causal is None else is_causal):
        raise _refused(module, "its attention is bidirectional")
    if _is_sliding(module) and sliding_window is None:
        raise _refused(module, "its sliding window is part of a mask alone")


def _is_sliding(module: torch.nn.Module) -> bool:
    kinds = getattr(getattr(module, "config", None), "layer_types", None) or ()
    index = getattr(module, "layer_idx", None)
    return isinstance(index, int) and index < len(kinds) and kinds[index] == "sliding_attention"


def _refused(module: torch.nn.Module, reason: str) -> ModelError:
    return ModelError(
        f"{type(module).__name__} cannot run without padding: {reason}",
        rule="rows are packed only for models whose attention sees segments, and is causal within them",
        remedy="train this model with padded batches",
    )
