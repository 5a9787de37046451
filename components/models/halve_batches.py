"""Batches that do not fit into memory are halved until they do."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from components.shared.errors import ModelError

Item = TypeVar("Item")
Found = TypeVar("Found")


def work_in_halves(
    items: Sequence[Item], work: Callable[[Sequence[Item]], list[Found]], too_large: Callable[[Item], ModelError]
) -> list[Found]:
    """What `work` finds for each item, in order.

    Args:
        items: of one batch.
        work: computes a batch; raises torch.OutOfMemoryError.
        too_large: the error for an item that does not fit by itself.

    Raises:
        ModelError: not even one item fits into memory.
    """
    import torch

    try:
        return work(items)
    except torch.OutOfMemoryError as error:
        if len(items) == 1:
            raise too_large(items[0]) from error
    # Here, where the error no longer refers to the batch's tensors.
    torch.cuda.empty_cache()
    half = len(items) // 2
    return [part for each in (items[:half], items[half:]) for part in work_in_halves(each, work, too_large)]
