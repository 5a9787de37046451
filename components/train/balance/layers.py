"""What the layers of a model cost on each kind of device, as arrays that a partition is searched in.

An array's axes are named by what they count: K kinds, L layers. A span of layers is [first, end).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from components.shared.errors import SettingsError
from components.shared.settings import Settings
from components.train.balance.devices import Fleet

UNLIMITED = np.iinfo(np.int32).max
"""Micro-batches in flight of layers that keep nothing."""


class LayerCost(Settings):
    """What one layer takes for one micro-batch. Embeddings and the head are layers too: the head of a small model is a
    quarter of its forward pass."""

    name: str = Field(description="for tables, such as layer 3 or head")
    forward_seconds: dict[str, float] = Field(description="by kind of device: measured seconds of a forward pass")
    backward_seconds: dict[str, float] = Field(description="by kind of device: measured seconds of a backward pass")
    state_bytes: int = Field(ge=0, description="bytes of weights, gradients and optimizer state")
    activation_bytes: int = Field(ge=0, description="bytes kept for the backward pass of one micro-batch")
    output_bytes: int = Field(ge=0, description="bytes that go to the next layer, and whose gradient comes back")
    gradient_bytes: int = Field(ge=0, description="bytes that are reduced over the pipelines in an optimizer step")


@dataclass(frozen=True)
class CostTables:
    """The costs of all spans of layers.

    Attributes:
        compute: seconds of a span's forward and backward pass, shape (K, L + 1, L + 1), by [kind, first, end].
        in_flight: micro-batches whose activations fit beside a span's state, the same shape; 0: it does not fit.
        transfer: seconds in which one micro-batch's activations cross the boundary before a layer, and their gradients
            come back, shape (K, K, L + 1), by [kind before, kind after, layer].
    """

    compute: np.ndarray
    in_flight: np.ndarray
    transfer: np.ndarray

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self.compute.shape[1] - 1

    def without_memory_limit(self) -> "CostTables":
        """The same costs on devices with unlimited memory."""
        return CostTables(self.compute, np.full_like(self.in_flight, UNLIMITED), self.transfer)

    def of_kinds(self, kinds: Sequence[int]) -> "CostTables":
        """The costs on some of the kinds, in the order given."""
        chosen = list(kinds)
        return CostTables(self.compute[chosen], self.in_flight[chosen], self.transfer[np.ix_(chosen, chosen)])


def cost_tables(layers: Sequence[LayerCost], fleet: Fleet) -> CostTables:
    """The costs of all spans of these layers on the fleet's kinds. Raises SettingsError for a cost that is missing."""
    _check(layers, fleet)
    passes = [[layer.forward_seconds[name] + layer.backward_seconds[name] for layer in layers] for name in fleet.names]
    state = _spans([layer.state_bytes for layer in layers])
    kept = _spans([layer.activation_bytes for layer in layers])
    free = np.array([kind.memory_bytes for kind in fleet.kinds])[:, None, None] - state
    fitting = np.where(kept > 0, free // np.maximum(kept, 1), UNLIMITED)
    return CostTables(
        np.stack([_spans(seconds) for seconds in passes]),
        np.where(free >= 0, fitting, 0),
        _transfers(layers, fleet),
    )


def _spans(values: Sequence[float]) -> np.ndarray:
    """Sums over all spans, shape (L + 1, L + 1), by [first, end]."""
    sums = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(sums[None, :] - sums[:, None])


def _transfers(layers: Sequence[LayerCost], fleet: Fleet) -> np.ndarray:
    kinds = range(len(fleet.kinds))
    links = [[fleet.link(one, other) for other in kinds] for one in kinds]
    boundaries = [0, *(layer.output_bytes for layer in layers[:-1]), 0]
    return np.array([[[2 * link.seconds(size) for size in boundaries] for link in row] for row in links])


def _check(layers: Sequence[LayerCost], fleet: Fleet) -> None:
    if not layers:
        raise SettingsError("no layers", rule="a partition needs the measured costs of at least one layer")
    for layer in layers:
        for what, seconds in (("forward", layer.forward_seconds), ("backward", layer.backward_seconds)):
            wrong = [name for name in fleet.names if not seconds.get(name, -1.0) >= 0]
            if wrong:
                raise SettingsError(
                    f"{layer.name}: no {what}_seconds on {', '.join(wrong)}",
                    rule="each layer needs the seconds of both passes, 0 or more, on every kind of device",
                    remedy="measure the layer on that kind, or leave the kind out",
                )
