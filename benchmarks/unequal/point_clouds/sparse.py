"""Generalised sparse convolutions in plain torch: coordinates hashed, gathered, one product per offset, added up.

Choy and others, arXiv 1904.08755: an output is the sum over offsets of the inputs at those places times each offset's
matrix, only where there are voxels. Places at half the resolution are those of any voxel in a cube of eight.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import nn

from benchmarks.unequal.point_clouds.scans import Scan, keys_of

Pairs = tuple[tuple[torch.Tensor, torch.Tensor], ...]
"""For each offset the rows that are read, and those that they are added to."""

AROUND = tuple(product((-1, 0, 1), repeat=3))
WITHIN = tuple(product((0, 1), repeat=3))


@dataclass(frozen=True)
class Geometry:
    """What is next to what in a scan, by level: each has half the resolution of the one before.

    Attributes:
        places: of the voxels, shape (rows, 3), by level.
        around: neighbours within a level, by level.
        within: the voxels of each level in those of the next.
        rows: of the features at each level, at least as many as there are voxels.
    """

    places: tuple[torch.Tensor, ...]
    around: tuple[Pairs, ...]
    within: tuple[Pairs, ...]
    rows: tuple[int, ...]


def geometry_of(scan: Scan, levels: int) -> Geometry:
    """The places and neighbours of a scan at each level, without padding."""
    places = [scan.places]
    for level in range(1, levels):
        resolution = scan.resolution >> level
        keys = keys_of(places[-1] // 2, resolution).unique()
        places.append(torch.stack([keys // resolution**2, keys // resolution % resolution, keys % resolution], 1))
    sides = [scan.resolution >> level for level in range(levels)]
    around = tuple(_around(own, side) for own, side in zip(places, sides, strict=True))
    within = tuple(
        _within(fine, coarse, side) for fine, coarse, side in zip(places[:-1], places[1:], sides[1:], strict=True)
    )
    return Geometry(tuple(places), around, within, tuple(map(len, places)))


def padded(geometry: Geometry, rows: Sequence[int]) -> Geometry:
    """The same with features of more rows, which have no neighbours: pipelines need one shape."""
    return Geometry(geometry.places, geometry.around, geometry.within, tuple(rows))


def _around(places: torch.Tensor, side: int) -> Pairs:
    keys = keys_of(places, side)
    pairs = []
    for offset in AROUND:
        near = places + torch.tensor(offset)
        inside = ((near >= 0) & (near < side)).all(dim=1)
        target = inside.nonzero()[:, 0]
        source, found = _find(keys, keys_of(near[target], side))
        pairs.append((source[found], target[found]))
    return tuple(pairs)


def _within(fine: torch.Tensor, coarse: torch.Tensor, side: int) -> Pairs:
    parent, _ = _find(keys_of(coarse, side), keys_of(fine // 2, side))
    corner = fine % 2
    chosen = [(corner == torch.tensor(offset)).all(dim=1).nonzero()[:, 0] for offset in WITHIN]
    return tuple((rows, parent[rows]) for rows in chosen)


def _find(keys: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of the wanted keys among sorted ones, and whether each is there."""
    rows = torch.searchsorted(keys, wanted).clamp_max(len(keys) - 1)
    return rows, keys[rows] == wanted


class SparseConvolution(nn.Module):
    """Adds up, for each offset, the rows that a pair reads times the offset's matrix."""

    def __init__(self, given: int, made: int, offsets: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(offsets, given, made) / (offsets * given) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(made))

    def forward(
        self, features: torch.Tensor, pairs: Iterable[tuple[torch.Tensor, torch.Tensor]], rows: int
    ) -> torch.Tensor:
        """Features of `rows` voxels, shape (rows, made)."""
        result = features.new_zeros(rows, self.weight.shape[2])
        for weight, (source, target) in zip(self.weight, pairs, strict=True):
            result.index_add_(0, target, features[source] @ weight)
        return result + self.bias


class Around(SparseConvolution):
    """A convolution of 3 × 3 × 3 within a level."""

    def __init__(self, given: int, made: int, level: int) -> None:
        super().__init__(given, made, len(AROUND))
        self._level = level

    def forward(self, features: torch.Tensor, geometry: Geometry) -> torch.Tensor:  # type: ignore[override]
        """Features at the same places."""
        return super().forward(features, geometry.around[self._level], geometry.rows[self._level])


class Down(SparseConvolution):
    """A convolution of 2 × 2 × 2 to the level below, which has half the resolution."""

    def __init__(self, given: int, made: int, level: int) -> None:
        super().__init__(given, made, len(WITHIN))
        self._level = level

    def forward(self, features: torch.Tensor, geometry: Geometry) -> torch.Tensor:  # type: ignore[override]
        """Features of the level below `level`."""
        return super().forward(features, geometry.within[self._level], geometry.rows[self._level + 1])


class Up(SparseConvolution):
    """Its transpose: from the level below back to the places that there were."""

    def __init__(self, given: int, made: int, level: int) -> None:
        super().__init__(given, made, len(WITHIN))
        self._level = level

    def forward(self, features: torch.Tensor, geometry: Geometry) -> torch.Tensor:  # type: ignore[override]
        """Features of `level`."""
        pairs = ((target, source) for source, target in geometry.within[self._level])
        return super().forward(features, pairs, geometry.rows[self._level])
