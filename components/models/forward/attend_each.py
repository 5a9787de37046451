"""Attention segment by segment, on any device: torch's fused kernel, or the formula where scores are special."""

# ruff: noqa: TID253 - imported by the job's own program only

from collections.abc import Sequence

import torch
from torch.nn.functional import dropout, scaled_dot_product_attention

from components.models.forward.attention_layer import AttentionLayer, KeysAndValues
from components.models.forward.segments import Segments


def attend_each(
    query: torch.Tensor, states: Sequence[KeysAndValues], segments: Segments, layer: AttentionLayer
) -> torch.Tensor:
    """Output [1, tokens, heads, value width] of queries [1, heads, tokens, width].

    Args:
        query: queries of the batch.
        states: what each segment attends to.
        segments: the batch's segments.
        layer: the layer's features.
    """
    attend = _fused if layer.has_plain_scores else _by_formula
    parts = [attend(own, *seen, layer) for own, seen in zip(segments.split(query), states, strict=True)]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()


def _fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layer: AttentionLayer) -> torch.Tensor:
    queries, keys = query.shape[2], key.shape[2]
    plain = layer.sees_all(keys)
    # torch's is_causal aligns the first query with the first key, so it is right only where there is no prefix.
    is_causal = plain and queries == keys
    mask = None if plain and queries in {1, keys} else layer.visible(queries, keys, query.device)
    return scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=layer.dropout,
        is_causal=is_causal and queries > 1,
        scale=layer.scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def _by_formula(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layer: AttentionLayer) -> torch.Tensor:
    """As transformers' eager attention of Gemma 2 (soft-capped scores) and gpt-oss (sinks) computes it."""
    heads, queries, keys = query.shape[1], query.shape[2], key.shape[2]
    key, value = (states.repeat_interleave(heads // states.shape[1], dim=1) for states in (key, value))
    scores = query @ key.transpose(2, 3) * (query.shape[3] ** -0.5 if layer.scaling is None else layer.scaling)
    if layer.softcap is not None:
        scores = torch.tanh(scores / layer.softcap) * layer.softcap
    hidden = ~layer.visible(queries, keys, query.device)
    scores = scores.float().masked_fill(hidden, float("-inf"))
    if layer.sinks is not None:
        sinks = layer.sinks.float().view(1, heads, 1, 1).expand(1, heads, queries, 1)
        scores = torch.cat([scores, sinks], dim=3)
    weights = scores.softmax(dim=3)[..., :keys].to(query.dtype)
    return dropout(weights, layer.dropout) @ value
