"""Attention over all segments in one kernel on GPUs: torch's variable-length flash attention."""

# ruff: noqa: TID253 - imported by the job's own program only

import torch
from torch.nn.functional import pad

from components.models.forward.attention_layer import AttentionLayer, KeysAndValues
from components.models.forward.segments import Segments


def attend_varlen(
    query: torch.Tensor, states: KeysAndValues, segments: Segments, layer: AttentionLayer
) -> torch.Tensor:
    """Output [1, tokens, heads, value width] of queries [1, heads, tokens, width].

    With more keys than queries the kernel aligns the last query with the last key, as prefixes need.

    Args:
        query: queries of the batch.
        states: what the segments attend to, one after the other.
        segments: the batch's segments.
        layer: the layer's features.
    """
    from torch.nn.attention.varlen import varlen_attn

    key, value = states
    # The kernel has one width for all three; latent attention has narrower values.
    padded = pad(value, [0, query.shape[3] - value.shape[3]])
    output = varlen_attn(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        padded[0].transpose(0, 1),
        segments.cumulative("queries", query.device),
        segments.cumulative("keys", query.device),
        max(segments.lengths),
        max(segments.key_lengths),
        scale=layer.scaling,
        window_size=(-1 if layer.window is None else layer.window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(output, torch.Tensor)
    return output[None, :, :, : value.shape[3]]
