"""The cards that are simulated, by their published numbers, and models whose layers cost what these numbers say.

Memory, operations and links inside a machine are those of NVIDIA's data sheets (H100 SXM; A100 SXM, 40 and 80 GB; L40S;
A10; T4). The network of each card and the share of the peak that a training reaches are assumptions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.gpu.scale import DENSE_BF16
from benchmarks.sizing import BACKWARD, FORWARD, UTILISATION, Model
from components.train.balance.devices import DeviceKind, Fleet, Link
from components.train.balance.layers import LayerCost
from components.train.balance.shares import RankSpeed
from components.train.memory import GRADIENT, OPTIMIZER, USABLE, WEIGHT, head_bytes, layer_bytes

GB = 10**9
LATENCY = 10e-6
"""Seconds before a message arrives: an assumption."""
STATE = WEIGHT + GRADIENT + OPTIMIZER
"""Bytes of a parameter in bf16 with Adam, none of it sharded."""


@dataclass(frozen=True)
class Card:
    """A card's published numbers, and its network.

    Attributes:
        operations: a second, dense bf16; the T4 has no bf16, so fp16.
        memory: bytes.
        link: bytes a second in one direction to cards of the same machine: half of what the data sheet adds up.
        network: bytes a second to other machines: 400 Gbit/s a card beside H100, 200 beside A100, 100 beside others.
    """

    operations: float
    memory: int
    link: float
    network: float


CARDS: Mapping[str, Card] = {
    "H100": Card(DENSE_BF16["H100"], 80 * GB, 450e9, 50e9),
    "A100-80": Card(DENSE_BF16["A100"], 80 * GB, 300e9, 25e9),
    "A100-40": Card(DENSE_BF16["A100"], 40 * GB, 300e9, 25e9),
    "L40S": Card(DENSE_BF16["L40S"], 48 * GB, 32e9, 12.5e9),
    "A10": Card(DENSE_BF16["A10"], 24 * GB, 32e9, 12.5e9),
    "T4": Card(65e12, 16 * GB, 16e9, 12.5e9),
}


def make_fleet(counts: Mapping[str, int]) -> Fleet:
    """A fleet of so many of each card."""
    return Fleet(kinds=tuple(_kind(name, count) for name, count in counts.items()))


def _kind(name: str, count: int) -> DeviceKind:
    card = CARDS[name]
    return DeviceKind(
        name=name,
        count=count,
        memory_bytes=int(card.memory * USABLE),
        link=Link(bytes_a_second=card.link, latency_seconds=LATENCY),
        network=Link(bytes_a_second=card.network, latency_seconds=LATENCY),
    )


def make_layers(model: Model, names: Sequence[str], tokens: int) -> list[LayerCost]:
    """The layers of a model for micro-batches of so many tokens: embeddings, decoder layers, the head.

    Tied embeddings are two copies, at the first stage and at the last. Nothing is recomputed.
    """
    words, shape = model.vocabulary * model.hidden, model.shape
    both = (1 if model.tied else 2) * words
    inside = (model.parameters - both) // model.layers
    passing, kept = tokens * model.hidden * WEIGHT, tokens * layer_bytes(shape, "bf16")
    sizes = {"kept": kept, "passing": passing}
    decoder = [_layer(f"layer {place}", inside, names, tokens, **sizes) for place in range(model.layers)]
    # An embedding's parameters are looked up, not multiplied.
    embeddings = _layer("embeddings", words, names, 0, kept=0, passing=passing)
    head = _layer("head", words, names, tokens, kept=head_bytes(shape, "bf16", tokens), passing=0)
    return [embeddings, *decoder, head]


def _layer(name: str, parameters: int, names: Sequence[str], multiplied: int, *, kept: int, passing: int) -> LayerCost:
    """One layer, whose parameters are multiplied with so many tokens."""
    seconds = {each: parameters * multiplied / (CARDS[each].operations * UTILISATION) for each in names}
    return LayerCost(
        name=name,
        forward_seconds={each: FORWARD * value for each, value in seconds.items()},
        backward_seconds={each: BACKWARD * value for each, value in seconds.items()},
        state_bytes=parameters * STATE,
        activation_bytes=kept,
        output_bytes=passing,
        gradient_bytes=parameters * GRADIENT,
    )


def make_ranks(model: Model, counts: Mapping[str, int], most_tokens: Mapping[str, int]) -> list[RankSpeed]:
    """A rank on each card, as fast as its operations allow at the assumed share of the peak."""
    work = (FORWARD + BACKWARD) * model.parameters
    return [
        RankSpeed(
            name=f"rank on {name}",
            tokens_a_second=CARDS[name].operations * UTILISATION / work,
            most_tokens=most_tokens[name],
        )
        for name, count in counts.items()
        for _ in range(count)
    ]
