"""spconv, whose CPU kernels are the oracle of the sparse convolutions: fetched once, used in a process of its own.

Its wheels need only their own pure-Python neighbours and this environment's torch.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.made_once import CACHE, CommandError, alone, run_to_end, uv

PACKAGES = (
    *("spconv==2.3.8", "cumm==0.7.11", "pccm==0.4.16", "ccimport==0.4.4", "pybind11==3.0.1", "ninja==1.13.0"),
    *("fire==0.7.1", "lark==1.3.1", "portalocker==4.4.2", "termcolor==3.1.0"),
)
INSTALL_SECONDS, RUN_SECONDS = 600.0, 120.0
PROGRAM = """
import json, sys
import torch
from spconv.core import ConvAlgo
from spconv.pytorch import SparseConv3d, SparseConvTensor, SubMConv3d
asked = json.load(sys.stdin)
kind, size = (SubMConv3d, 3) if asked["kind"] == "around" else (SparseConv3d, 2)
options = {"padding": 1} if size == 3 else {"stride": 2}
weight = torch.tensor(asked["weight"])
offsets, given, made = weight.shape
layer = kind(given, made, size, bias=False, algo=ConvAlgo.Native, **options)
layer.weight.data = weight.reshape(size, size, size, given, made).permute(4, 0, 1, 2, 3).contiguous()
places = torch.tensor(asked["places"], dtype=torch.int32)
indices = torch.cat([torch.zeros(len(places), 1, dtype=torch.int32), places], 1)
side = asked["side"]
with torch.no_grad():
    found = layer(SparseConvTensor(torch.tensor(asked["features"]), indices, [side] * 3, 1))
print(json.dumps({"places": found.indices[:, 1:].tolist(), "features": found.features.tolist()}))
"""


class SpconvUnavailableError(Exception):
    """spconv cannot be had on this machine; its text is the reason."""


def packages() -> Path:
    """The folder with spconv, made where it is missing. Raises SpconvUnavailableError."""
    folder = CACHE / f"{PACKAGES[0].replace('==', '-')}-python{sys.version_info[0]}.{sys.version_info[1]}"
    with alone(folder):
        if not (complete := folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            command = [uv(), "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
            try:
                run_to_end([*command, "--target", str(folder), *PACKAGES], INSTALL_SECONDS)
            except CommandError as error:
                raise SpconvUnavailableError(f"spconv cannot be installed: {error}") from error
            complete.touch()
    return folder


def convolve(
    kind: str, places: list[list[int]], features: list[list[float]], weight: list[list[list[float]]], side: int
) -> dict[tuple[int, ...], list[float]]:
    """spconv's features by place.

    Args:
        kind: around (3 × 3 × 3 at the same places) or down (2 × 2 × 2 with stride 2).
        places: of the voxels, shape (rows, 3).
        features: shape (rows, given).
        weight: shape (offsets, given, made), in the order of the offsets.
        side: voxels along each side.
    """
    asked = {"kind": kind, "places": places, "features": features, "weight": weight, "side": side}
    # Threads of its CPU kernels race: one row in hundreds came out wrong in 15 % of the runs with two.
    variables = {**os.environ, "PYTHONPATH": str(packages()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(asked), env=variables, capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SpconvUnavailableError(f"spconv does not run: {done.stderr[-500:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {tuple(place): row for place, row in zip(found["places"], found["features"], strict=True)}
