"""Synthetic scans of rooms: points on a floor, two walls, boxes and balls, as voxels with the surface as the label."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

SURFACES = ("floor", "wall", "box", "ball")
FEATURES = 4
"""Of a voxel: the mean place of its points in it (three numbers from -0.5 to 0.5), and 1."""
POINTS_PER_AREA = 4
"""Points for each area of a voxel's side squared, so that a scan has no holes at any resolution."""


@dataclass(frozen=True)
class Scan:
    """One scan as voxels.

    Attributes:
        resolution: voxels along each side of the room.
        places: of the voxels with points, shape (rows, 3), in the order of their keys.
        features: shape (rows, FEATURES).
        labels: numbers of SURFACES, shape (rows,).
    """

    resolution: int
    places: torch.Tensor
    features: torch.Tensor
    labels: torch.Tensor


def make_scan(resolution: int, seed: int) -> Scan:
    """A room with three boxes and three balls, at seeded places."""
    draw = torch.Generator().manual_seed(seed)
    parts: list[tuple[int, torch.Tensor]] = [
        (0, _rectangle(draw, resolution, 1.0, 1.0, lambda one, other: (one, other, torch.full_like(one, 0.02)))),
        (1, _rectangle(draw, resolution, 1.0, 0.6, lambda one, other: (one, torch.full_like(one, 0.02), other))),
        (1, _rectangle(draw, resolution, 1.0, 0.6, lambda one, other: (torch.full_like(one, 0.02), one, other))),
    ]
    for _ in range(3):
        corner, sides = 0.1 + 0.6 * torch.rand(2, generator=draw), 0.1 + 0.15 * torch.rand(3, generator=draw)
        parts.append((2, _box(draw, resolution, torch.cat([corner, torch.tensor([0.02])]), sides)))
        center, radius = 0.2 + 0.5 * torch.rand(3, generator=draw), 0.06 + 0.08 * float(torch.rand(1, generator=draw))
        parts.append((3, _ball(draw, resolution, center, radius)))
    points = torch.cat([points for _, points in parts]) * resolution
    labels = torch.cat([torch.full((len(points),), label) for label, points in parts])
    return _voxels(points.clamp(0, resolution - 1e-3), labels, resolution)


def keys_of(places: torch.Tensor, resolution: int) -> torch.Tensor:
    """One number for each place, shape (rows,)."""
    return (places[:, 0] * resolution + places[:, 1]) * resolution + places[:, 2]


def _voxels(points: torch.Tensor, labels: torch.Tensor, resolution: int) -> Scan:
    places = points.long()
    keys, rows, counts = keys_of(places, resolution).unique(return_inverse=True, return_counts=True)
    inside = torch.zeros(len(keys), 3).index_add_(0, rows, points - places - 0.5) / counts[:, None]
    found = torch.stack([keys // resolution**2, keys // resolution % resolution, keys % resolution], dim=1)
    most = torch.zeros(len(keys), len(SURFACES)).index_put_((rows, labels), torch.ones(len(rows)), accumulate=True)
    return Scan(resolution, found, torch.cat([inside, torch.ones(len(keys), 1)], dim=1), most.argmax(dim=1))


def _count(resolution: int, area: float) -> int:
    return math.ceil(POINTS_PER_AREA * area * resolution**2)


def _rectangle(
    draw: torch.Generator,
    resolution: int,
    width: float,
    height: float,
    put: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]],
) -> torch.Tensor:
    count = _count(resolution, width * height)
    return torch.stack(put(width * torch.rand(count, generator=draw), height * torch.rand(count, generator=draw)), 1)


def _box(draw: torch.Generator, resolution: int, corner: torch.Tensor, sides: torch.Tensor) -> torch.Tensor:
    """Points on the six faces, of which a third are on those across each axis."""
    count = _count(resolution, 2 * float(sides[0] * sides[1] + sides[0] * sides[2] + sides[1] * sides[2]))
    points = torch.rand(count, 3, generator=draw)
    axis = torch.randint(3, (count, 1), generator=draw)
    points.scatter_(1, axis, torch.randint(2, (count, 1), generator=draw).float())
    return corner + points * sides


def _ball(draw: torch.Generator, resolution: int, center: torch.Tensor, radius: float) -> torch.Tensor:
    points = torch.randn(_count(resolution, 4 * math.pi * radius**2), 3, generator=draw)
    return center + radius * points / points.norm(dim=1, keepdim=True)
