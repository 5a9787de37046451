"""How many threads a model's arithmetic uses on a CPU."""

from typing import Any

SMALL_PARAMETERS = 20_000_000
"""Below this, threads wait for each other longer than they work: with 0.6M parameters on two busy cores, evaluating 500
questions took 0.7 s of CPU with one thread and 7 s with two."""


def spare_threads(model: Any) -> None:
    """Let a small model compute with one thread; a larger one keeps what the process has."""
    import torch

    if model.num_parameters() < SMALL_PARAMETERS:
        torch.set_num_threads(1)
