"""A small U-Net as a list of layers, each from a state to a state, so that it can be cut between any two of them.

A state is the features and those kept for the way up, newest first. Its convolutions are sparse, or dense over the
entire room: the same widths, kernels and strides.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from benchmarks.unequal.point_clouds import sparse
from benchmarks.unequal.point_clouds.scans import FEATURES, SURFACES, Scan

WIDTHS = (16, 32, 64)
"""Channels at each level."""

State = tuple[torch.Tensor, ...]


class DenseAround(nn.Conv3d):
    """A dense convolution of 3 × 3 × 3; the geometry is that of the grid."""

    def __init__(self, given: int, made: int, level: int) -> None:
        del level
        super().__init__(given, made, 3, padding=1)

    def forward(self, features: torch.Tensor, geometry: Any) -> torch.Tensor:  # type: ignore[override]
        """Features of the same grid, shape (1, made, side, side, side)."""
        return super().forward(features)


class DenseDown(nn.Conv3d):
    """A dense convolution of 2 × 2 × 2 with stride 2."""

    def __init__(self, given: int, made: int, level: int) -> None:
        del level
        super().__init__(given, made, 2, stride=2)

    def forward(self, features: torch.Tensor, geometry: Any) -> torch.Tensor:  # type: ignore[override]
        """Features of the grid of half the resolution."""
        return super().forward(features)


class DenseUp(nn.ConvTranspose3d):
    """Its transpose."""

    def __init__(self, given: int, made: int, level: int) -> None:
        del level
        super().__init__(given, made, 2, stride=2)

    def forward(self, features: torch.Tensor, geometry: Any) -> torch.Tensor:  # type: ignore[override]
        """Features of the grid of twice the resolution."""
        return super().forward(features)


KINDS: dict[str, tuple[Any, Any, Any]] = {
    "sparse": (sparse.Around, sparse.Down, sparse.Up),
    "dense": (DenseAround, DenseDown, DenseUp),
}


class Convolve(nn.Module):
    """A convolution of the features and a rectifier."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, state: State, geometry: Any) -> State:
        """What is kept stays as it is."""
        features, *kept = state
        return (self.convolution(features, geometry).relu(), *kept)


class GoDown(Convolve):
    """The same to the level below; the features are kept too."""

    def forward(self, state: State, geometry: Any) -> State:
        """The features before it are the newest that are kept."""
        features, *kept = state
        return (self.convolution(features, geometry).relu(), features, *kept)


class GoUp(Convolve):
    """The same to the level above, beside what was kept there."""

    def forward(self, state: State, geometry: Any) -> State:
        """The features and the newest kept ones, joined by channel."""
        features, newest, *kept = state
        return (torch.cat([self.convolution(features, geometry).relu(), newest], dim=1), *kept)


class Head(nn.Module):
    """Scores of the surfaces for each voxel."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTHS[0], len(SURFACES))

    def forward(self, state: State, geometry: Any) -> State:
        """Shape (rows, surfaces), or (1, surfaces, side, side, side)."""
        (features,) = state
        return (self.linear(features.movedim(1, -1)).movedim(-1, 1),)


def make_layers(kind: str) -> list[nn.Module]:
    """The layers of a U-Net with seeded weights; `kind` is sparse or dense."""
    around, down, up = KINDS[kind]
    torch.manual_seed(0)
    layers: list[nn.Module] = [Convolve(around(FEATURES, WIDTHS[0], 0)), Convolve(around(WIDTHS[0], WIDTHS[0], 0))]
    for level, (width, wider) in enumerate(pairwise(WIDTHS)):
        layers += [GoDown(down(width, wider, level)), Convolve(around(wider, wider, level + 1))]
    for level in reversed(range(len(WIDTHS) - 1)):
        width = WIDTHS[level]
        layers += [GoUp(up(WIDTHS[level + 1], width, level)), Convolve(around(2 * width, width, level))]
    return [*layers, Head()]


def as_grid(scan: Scan) -> torch.Tensor:
    """The features over the entire room, shape (1, FEATURES, side, side, side)."""
    grid = torch.zeros(FEATURES, scan.resolution, scan.resolution, scan.resolution)
    grid[:, *scan.places.T] = scan.features.T
    return grid[None]


def loss_of(scores: torch.Tensor, scan: Scan, kind: str) -> torch.Tensor:
    """The sum over voxels of the cross-entropy, in nats."""
    own = scores[0, :, *scan.places.T].T if kind == "dense" else scores[: len(scan.labels)]
    return nn.functional.cross_entropy(own, scan.labels, reduction="sum")
