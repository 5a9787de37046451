"""What a token costs in operations, and how fast a device trains by its published peak.

A parameter takes 2 operations a token in the forward and 4 in the backward pass, 2 of them for the gradient of the
weights (Kaplan and others, arXiv 2001.08361, section 2.1); frozen weights have none, and recomputed activations take a
second forward pass.
"""

from components.train.memory import DecoderShape

FORWARD, BACKWARD = 2, 4
"""Operations of a parameter and token."""
UTILISATION = 0.35
"""Share of its published peak that a device is assumed to reach in training."""


def operations(shape: DecoderShape, *, recomputed: bool, reads_others: bool = False) -> int:
    """Operations of one trained token.

    Args:
        shape: of the model.
        recomputed: whether activations are recomputed (gradient checkpointing).
        reads_others: whether a response of another row is read beside each, without gradients.
    """
    return part_operations(shape.parameters, shape.trained, recomputed=recomputed, reads_others=reads_others)


def part_operations(parameters: int, trained: int, *, recomputed: bool, reads_others: bool = False) -> int:
    """The same of a part of the model with so many parameters, all of which are multiplied."""
    return parameters * (FORWARD + BACKWARD // 2 + FORWARD * (recomputed + reads_others)) + trained * (BACKWARD // 2)


def published_speed(peak: float, operations_a_token: int) -> float:
    """Tokens a second of a device with this published peak, in operations a second."""
    return peak * UTILISATION / operations_a_token
