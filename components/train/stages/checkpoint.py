"""A checkpoint of stages: weights and the optimizer's state by tensor name, so that any number of stages reads it."""

# ruff: noqa: TID253 - imported by the job's own program only

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.shared.errors import DamagedError
from components.train.checkpoints.checkpoint import random_state_name, stage_files
from components.train.ranks import Ranks

WEIGHT = "weight"
MOMENTS = ("exp_avg", "exp_avg_sq")


def stage_state(weights: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The trained weights of a process and AdamW's moments of them, by name."""
    return {
        name: {WEIGHT: weight.detach(), **{moment: optimizer.state[weight][moment] for moment in MOMENTS}}
        for name, weight in weights.items()
    }


def load_state(
    folder: Path, step: int, weights: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Read this process's weights and moments of all stages' files. Raises DamagedError where one is missing."""
    missing = set(weights)
    for path in stage_files(folder):
        # Mapped: only what is copied is read.
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        for name in missing & stored.keys():
            weight, entry = weights[name], stored[name]
            weight.detach().copy_(entry[WEIGHT])
            moments = {moment: entry[moment].to(weight.device, copy=True) for moment in MOMENTS}
            optimizer.state[weight] = {"step": torch.tensor(float(step), device=weight.device), **moments}
        missing -= stored.keys()
    if missing:
        raise DamagedError(f"the checkpoint in {folder} lacks {len(missing)} tensors, such as {min(missing)}")


def save_random_states(folder: Path, ranks: Ranks) -> None:
    """Write this process's random states as transformers' trainer does; dropout alone uses them."""
    states = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.random.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.random.get_rng_state()
    torch.save(states, folder / random_state_name(ranks.rank, ranks.world))


def load_random_states(folder: Path, ranks: Ranks) -> None:
    """Read what `save_random_states` or transformers' trainer wrote."""
    states = torch.load(folder / random_state_name(ranks.rank, ranks.world), weights_only=False)
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.random.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.random.set_rng_state(states["cuda"])


