"""Attention over a packed batch: torch's variable-length kernel beside one call of sdpa for each row."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.gpu.scale import Scale
from benchmarks.gpu.trainings import wait_for_device

ROWS, REPEATS = 16, 5


def measure_attention(scale: Scale) -> dict[str, float | None]:
    """Seconds of forward and backward passes of one layer's attention over a batch, by kernel.

    The variable-length kernel needs a GPU: None without one.
    """
    import torch

    from components.models.forward.attention_kernels import KERNELS
    from components.models.forward.attention_layer import AttentionLayer, KeysAndValues
    from components.models.forward.segments import NO_PARENT, Segments

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if scale.precision == "bf16" else torch.float32
    segments = Segments((scale.median,) * ROWS, (NO_PARENT,) * ROWS)
    layer = AttentionLayer()
    heads, groups = scale.shape["num_attention_heads"], scale.shape["num_key_value_heads"]
    width = scale.shape["hidden_size"] // heads
    query, key, value = (
        torch.randn(1, count, scale.median * ROWS, width, device=device, dtype=dtype, requires_grad=True)
        for count in (heads, groups, groups)
    )
    states = KeysAndValues(key, value)
    found = {}
    for name in ("sdpa", "varlen"):
        kernel = KERNELS[name]
        able = not kernel.why_not(query, layer)
        attend = partial(kernel.attend, query, states, segments, layer, None)
        found[f"{name}_seconds"] = _seconds(attend) if able else None
    return found


def _seconds(attend: Callable[[], Any]) -> float:
    """The median of several passes, after one that is not timed."""
    found = []
    for _ in range(REPEATS + 1):
        wait_for_device()
        began = time.monotonic()
        attend().sum().backward()
        wait_for_device()
        found.append(time.monotonic() - began)
    return statistics.median(found[1:])
