"""The product's images for the pods of the tests: named by the environment, or built from this tree."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.node.places import CONTAINERD_SOCKET

VARIABLES = {name: f"TUTELAGE_CLUSTER_{name.upper()}_IMAGE" for name in ("launcher", "ray", "train")}
"""Variables that name the images on another cluster, from where its nodes can pull them."""

VLLM_VARIABLE = "TUTELAGE_CLUSTER_VLLM_CPU_IMAGE"
"""The same for vLLM's build for CPUs."""

FOLDER = Path(__file__).parents[2] / "images"


def image(name: str) -> str:
    """The reference of an image: launcher, ray or train."""
    return os.environ[VARIABLES[name]]


def missing() -> list[str]:
    """Variables that are not set yet."""
    return [variable for variable in VARIABLES.values() if not os.environ.get(variable)]


def build_and_load() -> None:
    """Build the images from this tree, load the layers that the node lacks, and set the variables.

    What was built before from the same files is not built again. Fails with the builder's own output.
    """
    loaded = _load(_run([sys.executable, str(FOLDER / "build.py"), "--debian"]))
    for name, variable in VARIABLES.items():
        os.environ[variable] = next(reference for reference in loaded if f"/{name}:" in reference)


def build_and_load_vllm() -> None:
    """Build vLLM for CPUs on the layer with torch of the other images, load it, and set its variable."""
    (os.environ[VLLM_VARIABLE],) = _load(_run([sys.executable, "-m", "tests.cluster.vllm.build_image"]))


def _load(built: str) -> list[str]:
    """Load the images of a builder's lines; returns their references."""
    address = ["--address", str(CONTAINERD_SOCKET)]
    return _run([sys.executable, str(FOLDER / "load.py"), *address], given=built).split()


def _run(command: list[str], given: str = "") -> str:
    variables = {**os.environ, "PYTHONPATH": str(FOLDER)}  # the builders share modules
    done = subprocess.run(
        command, input=given, env=variables, cwd=FOLDER.parent, capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stderr[-3000:]}"
    return done.stdout
