"""A checkpoint of stages: weights and the optimizer's state by tensor name, so that any number of stages reads it."""

# ruff: noqa: TID253 - imported by the job's own program only

import random
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.shared.errors import DamagedError
from components.train.checkpoints.checkpoint import random_state_name, stage_files
from components.train.checkpoints.convert_stages import STATES, universal_tensors
from components.train.ranks import Ranks

WEIGHT = "weight"
MOMENTS = ("exp_avg", "exp_avg_sq")


def stage_state(weights: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The trained weights of a process and AdamW's moments of them, by name."""
    return {
        name: {WEIGHT: weight.detach(), **{moment: optimizer.state[weight][moment] for moment in MOMENTS}}
        for name, weight in weights.items()
    }


def load_state(folder: Path, step: int, weights: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Read this process's weights and moments from a checkpoint of any stages, or a universal one of DeepSpeed.

    Raises:
        DamagedError: it lacks a tensor.
    """
    missing = dict(weights)
    for name, entry in _entries(folder, missing):
        weight = missing.pop(name)
        with torch.no_grad():
            weight.copy_(entry[WEIGHT])
        moments = {moment: entry[moment].to(weight.device, torch.float32, copy=True) for moment in MOMENTS}
        optimizer.state[weight] = {"step": torch.tensor(float(step), device=weight.device), **moments}
    if missing:
        raise DamagedError(f"the checkpoint in {folder} lacks {len(missing)} tensors, such as {min(missing)}")


def _entries(folder: Path, wanted: Container[str]) -> Iterator[tuple[str, Mapping[str, torch.Tensor]]]:
    """The wanted tensors' states by name, one after the other."""
    for name, path in universal_tensors(folder).items():
        if name in wanted:
            states = {ours: torch.load(path / f"{theirs}.pt", weights_only=False) for ours, theirs in STATES.items()}
            yield name, {ours: state["param"] for ours, state in states.items()}
    for path in stage_files(folder):
        # Mapped: only what is copied is read.
        for name, entry in torch.load(path, map_location="cpu", weights_only=True, mmap=True).items():
            if name in wanted:
                yield name, entry


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
