"""What a decoder's layers cost, by its shape: operations of both passes, memory, and what goes to the next stage.

The first layer has the embeddings with it and the last one norm and head, since a stage has at least one layer. Seconds
are those of a device's speed on the complete model, divided by the operations of its parts: embeddings are looked up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from components.train.balance.layers import LayerCost
from components.train.balance.work import FORWARD, part_operations
from components.train.memory import (
    FP32_GRADIENT,
    FP32_WEIGHT,
    MASTER,
    MOMENTS,
    WEIGHT,
    DecoderShape,
    Precision,
    head_bytes,
    layer_bytes,
)


@dataclass(frozen=True)
class StageWork:
    """What stages compute and hold.

    Attributes:
        shape: of the model.
        precision: of the arithmetic.
        positions: of a micro-batch, for its time.
        most_positions: of a micro-batch, for its memory.
        recomputed: whether activations are recomputed.
        reads_others: whether a response of another row is read beside each, without gradients.
        copied: whether the device's memory also holds the copy of a checkpoint.
    """

    shape: DecoderShape
    precision: Precision
    positions: int
    most_positions: int
    recomputed: bool
    reads_others: bool = False
    copied: bool = False

    @property
    def size(self) -> int:
        """Bytes of a number."""
        return WEIGHT if self.precision == "bf16" else FP32_WEIGHT

    @property
    def words(self) -> int:
        """Weights of the embeddings, and of the head."""
        return self.shape.vocabulary * self.shape.hidden

    @property
    def inside(self) -> int:
        """Weights of a layer."""
        ends = self.words if self.shape.tied else 2 * self.words
        return max(0, self.shape.parameters - ends) // self.shape.layers

    @property
    def trains_all(self) -> bool:
        """Whether every weight is trained, not adapters of layers."""
        return self.shape.trained == self.shape.parameters

    @property
    def working_bytes(self) -> int:
        """Of a stage, beside what it keeps of each micro-batch: the layer that is recomputed."""
        return self.most_positions * layer_bytes(self.shape, self.precision) if self.recomputed else 0

    def operations(self, parameters: int, trained: int) -> int:
        """Of a token, in a part with so many parameters."""
        return part_operations(parameters, trained, recomputed=self.recomputed, reads_others=self.reads_others)

    def state_bytes(self, parameters: int, trained: int) -> int:
        """Bytes of weights, gradients and optimizer state: `stages/optimizer.py` has the gradients of bf16 in fp32."""
        optimizer = MOMENTS + (MASTER if self.precision == "bf16" else 0)
        copied = MASTER + MOMENTS if self.copied else 0
        return parameters * self.size + trained * (FP32_GRADIENT + optimizer + copied)


def decoder_layers(work: StageWork, speeds: Mapping[str, float]) -> list[LayerCost]:
    """The costs of the layers of a decoder.

    Args:
        work: what stages compute.
        speeds: of a device of each kind that trains the complete model, in tokens a second.
    """
    costs = [_layer(work, number, speeds) for number in range(work.shape.layers)]
    costs[0] = _joined(costs[0], _end(work, speeds, work.words, multiplied=False))
    costs[-1] = _joined(costs[-1], _end(work, speeds, work.words, multiplied=True))
    return costs


def _layer(work: StageWork, number: int, speeds: Mapping[str, float]) -> LayerCost:
    shape, passing = work.shape, work.shape.hidden * work.size
    trained = work.inside if work.trains_all else shape.trained // shape.layers
    kept = passing if work.recomputed else layer_bytes(shape, work.precision)
    return _cost(
        work,
        f"layer {number}",
        _seconds(work, speeds, work.inside, trained),
        state_bytes=work.state_bytes(work.inside, trained),
        activation_bytes=work.most_positions * kept,
        output_bytes=work.positions * passing,
        gradient_bytes=trained * FP32_GRADIENT,
    )


def _end(work: StageWork, speeds: Mapping[str, float], words: int, *, multiplied: bool) -> LayerCost:
    """The embeddings, or the head, whose weights are multiplied."""
    trained = words if work.trains_all else 0
    return _cost(
        work,
        "head" if multiplied else "embeddings",
        _seconds(work, speeds, words, trained) if multiplied else dict.fromkeys(speeds, 0.0),
        state_bytes=work.state_bytes(words, trained),
        activation_bytes=head_bytes(work.shape, work.precision, work.most_positions) if multiplied else 0,
        output_bytes=0,
        gradient_bytes=trained * FP32_GRADIENT,
    )


def _cost(work: StageWork, name: str, seconds: Mapping[str, float], **sizes: int) -> LayerCost:
    """A layer's cost, its time divided into a forward and a backward pass."""
    forward = FORWARD * (1 + work.reads_others) / work.operations(1, int(work.trains_all))
    return LayerCost(
        name=name,
        forward_seconds={kind: value * forward for kind, value in seconds.items()},
        backward_seconds={kind: value * (1 - forward) for kind, value in seconds.items()},
        **sizes,
    )


def _seconds(work: StageWork, speeds: Mapping[str, float], parameters: int, trained: int) -> dict[str, float]:
    """Both passes of a micro-batch over a part of the model, by kind of device."""
    share = work.operations(parameters, trained) / _all_operations(work)
    return {kind: work.positions / speed * share for kind, speed in speeds.items()}


def _all_operations(work: StageWork) -> int:
    """Operations of a token in all layers and the head."""
    shape = work.shape
    multiplied = work.inside * shape.layers + work.words
    trained = multiplied if work.trains_all else shape.trained
    return work.operations(multiplied, trained)


def _joined(layer: LayerCost, end: LayerCost) -> LayerCost:
    """A layer together with the embeddings or the head."""

    def both(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
        return {kind: value + other[kind] for kind, value in one.items()}

    return LayerCost(
        name=f"{layer.name} and {end.name}",
        forward_seconds=both(layer.forward_seconds, end.forward_seconds),
        backward_seconds=both(layer.backward_seconds, end.backward_seconds),
        state_bytes=layer.state_bytes + end.state_bytes,
        activation_bytes=layer.activation_bytes + end.activation_bytes,
        output_bytes=layer.output_bytes,
        gradient_bytes=layer.gradient_bytes + end.gradient_bytes,
    )
