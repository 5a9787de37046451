"""Counts floating-point operations, and the positions that go through a model's layers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import (
    FlopCounterMode,
    flop_registry,
    mm_flop,
    register_flop_formula,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

aten = torch.ops.aten


@dataclass
class Counts:
    """What a step costs: floating-point operations, positions, and forward passes through the layers."""

    flops: int = 0
    positions: int = 0
    passes: int = 0


def register_formulas() -> None:
    """Formulas for two operations that torch's counter ignores: the CPU's attention kernel, products added in place.

    As torch's formulas for other attention kernels, they count all pairs of query and key, masked or not.
    """
    if aten.addmm_ not in flop_registry:
        register_flop_formula(aten.addmm_)(lambda added, left, right, *_, **__: mm_flop(left, right))
    attention = aten._scaled_dot_product_flash_attention_for_cpu
    if attention not in flop_registry:
        register_flop_formula(attention)(lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value))
        register_flop_formula(aten._scaled_dot_product_flash_attention_for_cpu_backward)(
            lambda slope, query, key, value, *_, **__: sdpa_backward_flop_count(slope, query, key, value)
        )


class ShapesOnly(TorchDispatchMode):
    """Matrix products and attention give zeros of the right shape, uncomputed: counts need shapes alone."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shaped = SHAPED.get(func._overloadpacket)
        if shaped is None:
            return func(*args, **(kwargs or {}))
        return kwargs["out"].zero_() if kwargs and "out" in kwargs else shaped(*args)


def _zero_attention(query: torch.Tensor, _: torch.Tensor, value: torch.Tensor, *__: Any) -> tuple[torch.Tensor, ...]:
    batch, heads, queries, _width = query.shape
    return query.new_zeros(batch, heads, queries, value.shape[3]), query.new_zeros(batch, heads, queries)


SHAPED: dict[Any, Callable[..., Any]] = {
    aten.mm: lambda left, right: left.new_zeros(left.shape[0], right.shape[1]),
    aten.bmm: lambda left, right: left.new_zeros(*left.shape[:2], right.shape[2]),
    aten.addmm: lambda _, left, right: left.new_zeros(left.shape[0], right.shape[1]),
    aten.addmm_: lambda added, *_: added,
    aten._scaled_dot_product_flash_attention_for_cpu: _zero_attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda _, *states: tuple(
        torch.zeros_like(state) for state in states[:3]
    ),
}


@contextmanager
def counting(*models: Any, shapes_only: bool = True) -> Iterator[Counts]:
    """Count everything that happens inside, and the positions that these models' layers compute.

    With `shapes_only` products are counted and not computed, so a step takes seconds; values are then meaningless.
    """
    register_formulas()
    counts = Counts()

    def count_positions(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        ids = named["input_ids"] if "input_ids" in named else given[0]
        counts.positions += ids.numel()
        counts.passes += 1

    hooks = [model.model.register_forward_pre_hook(count_positions, with_kwargs=True) for model in models]
    try:
        with ShapesOnly() if shapes_only else nullcontext(), FlopCounterMode(display=False) as counter:
            yield counts
    finally:
        counts.flops += counter.get_total_flops()
        for hook in hooks:
            hook.remove()
