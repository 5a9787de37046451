"""The kernels that compute packed attention: what each can compute, and which ones there are."""

# ruff: noqa: TID253 - imported by the job's own program only

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch

from components.models.forward.attend_each import attend_each
from components.models.forward.attend_varlen import attend_varlen
from components.models.forward.attention_layer import AttentionLayer, KeysAndValues
from components.models.forward.hub_kernel import HUB_KERNEL, attend_by_hub, hub_kernel_missing
from components.models.forward.segments import Segments

WIDEST_HEAD = 256
"""Flash attention 2's limit."""
FLASH_CAPABILITY = (8, 0)
"""The oldest GPUs that flash attention 2 runs on: Ampere."""


class AttentionKernel(ABC):
    """Computes the attention of a packed batch."""

    name: ClassVar[str]
    """In the log."""

    @abstractmethod
    def why_not(self, query: torch.Tensor, layer: AttentionLayer) -> str:
        """Why it cannot compute the layer's attention of queries like these; empty: it can."""

    @abstractmethod
    def attend(
        self, query: torch.Tensor, states: KeysAndValues, segments: Segments, layer: AttentionLayer, index: int | None
    ) -> torch.Tensor:
        """Output [1, tokens, heads, value width] of queries [1, heads, tokens, width].

        Args:
            query: queries of the batch.
            states: its keys and values.
            segments: the batch's segments.
            layer: the layer's features.
            index: of the layer, to find captured keys; None: nothing is captured.
        """


class SegmentKernel(AttentionKernel):
    """torch's fused kernel for one segment after the other, or the formula: any layer on any device."""

    name = "sdpa"

    def why_not(self, query: torch.Tensor, layer: AttentionLayer) -> str:
        """It computes everything."""
        return ""

    def attend(
        self, query: torch.Tensor, states: KeysAndValues, segments: Segments, layer: AttentionLayer, index: int | None
    ) -> torch.Tensor:
        """See `attend_each`."""
        return attend_each(query, segments.with_prefixes(states, index), segments, layer)


class VarlenKernel(AttentionKernel):
    """All segments in one call of `torch.nn.attention.varlen`."""

    name = "varlen"

    def why_not(self, query: torch.Tensor, layer: AttentionLayer) -> str:
        """What flash attention 2 cannot compute."""
        return flash_refusal(query, layer)

    def attend(
        self, query: torch.Tensor, states: KeysAndValues, segments: Segments, layer: AttentionLayer, index: int | None
    ) -> torch.Tensor:
        """See `attend_varlen`."""
        return attend_varlen(query, segments.keys_in_a_row(states, index), segments, layer)


class HubKernel(AttentionKernel):
    """All segments in one call of a kernel of the Hugging Face hub that is on this machine."""

    name = HUB_KERNEL

    def why_not(self, query: torch.Tensor, layer: AttentionLayer) -> str:
        """What flash attention 2 cannot compute, or that the kernel is not here."""
        return flash_refusal(query, layer) or hub_kernel_missing()

    def attend(
        self, query: torch.Tensor, states: KeysAndValues, segments: Segments, layer: AttentionLayer, index: int | None
    ) -> torch.Tensor:
        """See `attend_by_hub`."""
        return attend_by_hub(query, segments.keys_in_a_row(states, index), segments, layer)


REFERENCE = SegmentKernel()
"""Computes every layer; the others are compared with it."""

KERNELS: Mapping[str, AttentionKernel] = {each.name: each for each in (REFERENCE, VarlenKernel(), HubKernel())}
"""By name, the ones to prefer at equal speed first."""


def unmeasured_kernel(query: torch.Tensor, layer: AttentionLayer) -> AttentionKernel:
    """The kernel where none is chosen by measurement: torch's own for all segments, where it computes the layer."""
    varlen = KERNELS[VarlenKernel.name]
    return REFERENCE if varlen.why_not(query, layer) else varlen


def flash_refusal(query: torch.Tensor, layer: AttentionLayer) -> str:
    """Why flash attention 2 cannot compute the layer's attention of queries like these; empty: it can."""
    if not query.is_cuda:
        return "needs a CUDA device"
    if (capability := capability_of(query.device)) < FLASH_CAPABILITY:
        found, least = (".".join(map(str, each)) for each in (capability, FLASH_CAPABILITY))
        return f"compute capability {found} is below {least}"
    if query.dtype not in {torch.float16, torch.bfloat16}:
        return f"{str(query.dtype).removeprefix('torch.')} is not half precision"
    if query.shape[3] > WIDEST_HEAD:
        return f"heads of {query.shape[3]} are wider than {WIDEST_HEAD}"
    if not layer.has_plain_scores:
        return "soft-capped scores or attention sinks"
    return "dropout" if layer.dropout else ""


def capability_of(device: torch.device) -> tuple[int, int]:
    """A GPU's compute capability."""
    return torch.cuda.get_device_capability(device)
