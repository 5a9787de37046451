"""What a model's layers ask of attention, recorded while it runs."""

# ruff: noqa: TID253 - imported by the job's own program only

from dataclasses import dataclass, replace
from typing import Any

import torch

from components.models.forward.attention_kernels import AttentionKernel, unmeasured_kernel
from components.models.forward.attention_layer import AttentionLayer, KeysAndValues
from components.models.forward.segments import Segments


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One layer's attention, but for the length of a batch.

    Attributes:
        heads: of queries.
        key_heads: of keys and values.
        width: of a head of queries and keys.
        value_width: of a head of values.
        dtype: of all.
        device: of all.
        layer: the layer's features.
    """

    heads: int
    key_heads: int
    width: int
    value_width: int
    dtype: torch.dtype
    device: torch.device
    layer: AttentionLayer

    @property
    def kind(self) -> tuple[Any, ...]:
        """Equal for layers whose attention takes equally long."""
        layer = self.layer
        features = (layer.scaling, layer.dropout, layer.window, layer.softcap, layer.sinks is None)
        return (self.heads, self.key_heads, self.width, self.value_width, self.dtype, self.device, features)

    def with_dropout(self, dropout: float) -> "LayerCall":
        """The same layer in training."""
        return replace(self, layer=replace(self.layer, dropout=dropout))

    def states(self, tokens: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Random queries, keys and values of a batch, each [1, heads, tokens, width], which take gradients."""
        shapes = ((self.heads, self.width), (self.key_heads, self.width), (self.key_heads, self.value_width))
        query, key, value = (
            torch.randn(1, heads, tokens, width, device=self.device, generator=generator).to(self.dtype)
            for heads, width in shapes
        )
        return query.requires_grad_(), key.requires_grad_(), value.requires_grad_()


class CallRecorder(AttentionKernel):
    """Computes like the kernel without a measurement, and records each call.

    Attributes:
        calls: one for each layer of a forward pass.
    """

    name = "recorder"

    def __init__(self) -> None:
        self.calls: list[LayerCall] = []

    def why_not(self, query: torch.Tensor, layer: AttentionLayer) -> str:
        """It computes everything."""
        return ""

    def attend(
        self, query: torch.Tensor, states: KeysAndValues, segments: Segments, layer: AttentionLayer, index: int | None
    ) -> torch.Tensor:
        """By the kernel that computes these queries without a measurement."""
        sizes = (query.shape[1], states.key.shape[1], query.shape[3], states.value.shape[3])
        self.calls.append(LayerCall(*sizes, query.dtype, query.device, layer))
        return unmeasured_kernel(query, layer).attend(query, states, segments, layer, index)
