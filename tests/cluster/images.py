"""The product's images for the pods of the tests: named by the environment, or built from this tree."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.node.places import CONTAINERD_SOCKET

VARIABLES = {name: f"TUTELAGE_CLUSTER_{name.upper()}_IMAGE" for name in ("launcher", "ray", "train")}
"""What names the images on another cluster, where they must be for its nodes to pull."""

FOLDER = Path(__file__).parents[2] / "images"


def image(name: str) -> str:
    """The reference of an image: launcher, ray or train."""
    return os.environ[VARIABLES[name]]


def missing() -> list[str]:
    """Variables that name no image yet."""
    return [variable for variable in VARIABLES.values() if not os.environ.get(variable)]


def build_and_load() -> None:
    """Build the images from this tree, hand the node the layers that it lacks, and name them in the environment.

    What was built before from the same files is not built again. Fails with the builder's own words.
    """
    built = _run([sys.executable, str(FOLDER / "build.py"), "--debian"])
    address = ["--address", str(CONTAINERD_SOCKET)]
    loaded = _run([sys.executable, str(FOLDER / "load.py"), *address], given=built).split()
    for name, variable in VARIABLES.items():
        os.environ[variable] = next(reference for reference in loaded if f"/{name}:" in reference)


def _run(command: list[str], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stderr[-3000:]}"
    return done.stdout
