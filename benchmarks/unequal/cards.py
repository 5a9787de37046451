"""The cards that are simulated, by their published numbers, and models whose layers cost what these numbers say.

The numbers are those of `components/launch/accelerators.py`; the share of the peak that a training reaches is an
assumption.
"""

from collections.abc import Mapping, Sequence

from benchmarks.sizing import Model
from components.launch.accelerators import ACCELERATORS, Accelerator
from components.train.balance.devices import DeviceKind, Fleet, Link
from components.train.balance.layers import LayerCost
from components.train.balance.shares import RankSpeed
from components.train.balance.work import BACKWARD, FORWARD, UTILISATION
from components.train.memory import GRADIENT, OPTIMIZER, USABLE, WEIGHT, head_bytes, layer_bytes

LATENCY = 10e-6
"""Seconds before a message arrives: an assumption."""
STATE = WEIGHT + GRADIENT + OPTIMIZER
"""Bytes of a parameter in bf16 with Adam, none of it sharded."""


CARDS: Mapping[str, Accelerator] = {
    name: ACCELERATORS[name] for name in ("H100", "A100-80", "A100-40", "L40S", "A10", "T4")
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
