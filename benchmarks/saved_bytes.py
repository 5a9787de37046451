"""What autograd keeps of a forward pass until the backward one."""

from collections.abc import Callable, Iterable
from typing import Any

import torch


def saved_bytes(weights: Iterable[torch.Tensor], forward: Callable[[], torch.Tensor]) -> int:
    """Bytes of the tensors that autograd saves, each storage once, without the weights.

    Args:
        weights: those of the model.
        forward: computes it once; its result requires gradients.
    """
    own = {weight.untyped_storage().data_ptr() for weight in weights}
    storages: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()
    assert result.requires_grad
    return sum(storage.nbytes() for storage in storages.values())
