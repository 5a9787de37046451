"""Batches that do not fit into memory."""

import weakref
from collections.abc import Sequence

import pytest
import torch

from components.models.halve_batches import work_in_halves
from components.shared.errors import ModelError


def too_large(item: int) -> ModelError:
    return ModelError(f"{item} does not fit")


def test_order_is_kept_and_nothing_of_a_failed_batch_is_in_memory_when_its_halves_are_tried() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def work(items: Sequence[int]) -> list[int]:
        assert all(tensor() is None for tensor in held)
        activations = torch.ones(len(items))
        held.append(weakref.ref(activations))
        if len(items) > 2:
            raise torch.OutOfMemoryError
        return [10 * item for item in items]

    assert work_in_halves(range(7), work, too_large) == [10 * item for item in range(7)]
    assert len(held) == 7, "7, 3, 1, 2, 4, 2, 2"


def test_what_does_not_fit_alone_is_an_error() -> None:
    def work(items: Sequence[int]) -> list[int]:
        raise torch.OutOfMemoryError

    with pytest.raises(ModelError, match="0 does not fit"):
        work_in_halves(range(4), work, too_large)
