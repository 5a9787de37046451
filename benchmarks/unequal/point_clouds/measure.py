"""Seconds and memory of the U-Net on one scan, sparse and dense, by resolution."""

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from benchmarks.saved_bytes import saved_bytes
from benchmarks.unequal.point_clouds.scans import Scan
from benchmarks.unequal.point_clouds.sparse import geometry_of
from benchmarks.unequal.point_clouds.unet import WIDTHS, State, as_grid, loss_of, make_layers


@dataclass(frozen=True)
class Cost:
    """Of one scan: seconds of both passes (median), and bytes that autograd keeps between them."""

    seconds: float
    kept_bytes: int


def cost_of(scan: Scan, kind: str, repeats: int) -> Cost:
    """What a U-Net of this kind takes for a scan; the sparse one's neighbours are found before, once for a scan."""
    layers = make_layers(kind)
    geometry = geometry_of(scan, len(WIDTHS)) if kind == "sparse" else None
    features = scan.features if kind == "sparse" else as_grid(scan)
    weights = (weight for layer in layers for weight in layer.parameters())
    kept = saved_bytes(weights, lambda: _scores(layers, features, geometry))
    times = []
    for number in range(repeats + 1):
        began = time.perf_counter()
        loss_of(_scores(layers, features, geometry), scan, kind).backward()
        if number:
            times.append(time.perf_counter() - began)
    return Cost(statistics.median(times), kept)


def seconds_of_geometry(scan: Scan) -> float:
    """Seconds to find a scan's places and neighbours at all levels."""
    began = time.perf_counter()
    geometry_of(scan, len(WIDTHS))
    return time.perf_counter() - began


def _scores(layers: list[nn.Module], features: torch.Tensor, geometry: Any) -> torch.Tensor:
    state: State = (features,)
    for layer in layers:
        state = layer(state, geometry)
    return state[0]
