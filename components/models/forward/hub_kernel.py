"""Attention over all segments by a kernel of the Hugging Face hub, where a machine has it; nothing is downloaded.

A kernel is compiled code. So it is only used where LOCAL_KERNELS, the variable of the package `kernels`, names its
folder on this machine: `LOCAL_KERNELS=kernels-community/flash-attn2=/opt/kernels/flash-attn2`.
"""

# ruff: noqa: TID253 - imported by the job's own program only

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch.nn.functional import pad

from components.models.forward.attention_layer import AttentionLayer, KeysAndValues
from components.models.forward.segments import Segments

HUB_KERNEL = "kernels-community/flash-attn2"
VARIABLE = "LOCAL_KERNELS"


def hub_kernel_missing() -> str:
    """Why the kernel is not on this machine; empty: it is."""
    if find_spec("kernels") is None:
        return "the package kernels is not installed"
    named = (entry.partition("=")[0] for entry in os.environ.get(VARIABLE, "").split(":"))
    return "" if HUB_KERNEL in named else f"{VARIABLE} does not name its folder"


def attend_by_hub(
    query: torch.Tensor, states: KeysAndValues, segments: Segments, layer: AttentionLayer
) -> torch.Tensor:
    """Output [1, tokens, heads, value width] of queries [1, heads, tokens, width]; see `attend_varlen`.

    Args:
        query: queries of the batch.
        states: what the segments attend to, one after the other.
        segments: the batch's segments.
        layer: the layer's features.
    """
    key, value = states
    padded = pad(value, [0, query.shape[3] - value.shape[3]])
    output: torch.Tensor = _kernel().flash_attn_varlen_func(
        *(each[0].transpose(0, 1) for each in (query, key, padded)),
        cu_seqlens_q=segments.cumulative("queries", query.device),
        cu_seqlens_k=segments.cumulative("keys", query.device),
        max_seqlen_q=max(segments.lengths),
        max_seqlen_k=max(segments.key_lengths),
        softmax_scale=layer.scaling,
        causal=True,
        window_size=(-1 if layer.window is None else layer.window - 1, 0),
    )
    return output[None, :, :, : value.shape[3]]


@cache
def _kernel() -> Any:
    return import_module("kernels").get_kernel(HUB_KERNEL)
