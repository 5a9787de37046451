"""Builds an image with vLLM for CPUs as images/build.py builds the product's, beside which it is started.

    PYTHONPATH=images python -m tests.cluster.vllm.build_image

Prints a line as images/build.py does: the image's reference, and the folder of its OCI layout. The product's code does
not go in, so a change of code does not build it again.
"""

import fcntl
import re
import shutil
import tempfile
from pathlib import Path

import build

from benchmarks.vllm_cpu.environment import SYSTEM_LIBRARIES, write_requirements

NAME = "vllm-cpu"
STAGE = Path(__file__).with_name("Dockerfile")
TORCH = Path("images", "torch.txt")
"""What the layer with torch is made of."""


def main() -> None:
    """Build it unless its layout is there."""
    with (build.CACHE / "lock").open("w") as lock, tempfile.TemporaryDirectory() as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = {"PACKAGES": " ".join(SYSTEM_LIBRARIES.values())}
        arguments = {"BASE": build.debian_base(), "UV": build.uv_image(), **packages}
        print(*build.build(NAME, write_input(Path(folder)), arguments))


def write_input(tree: Path) -> Path:
    """Write all that the image is made of; returns the folder."""
    (tree / "images" / NAME).mkdir(parents=True)
    shutil.copy(build.ROOT / TORCH, tree / TORCH)
    (tree / build.DOCKERFILE).write_text(stages_before((build.ROOT / build.DOCKERFILE).read_text()) + STAGE.read_text())
    write_requirements(tree / "images" / NAME)
    return tree


def stages_before(dockerfile: str) -> str:
    """The product's Dockerfile up to its layer with torch, without the stage that copies code."""
    parts = re.split(r"^(?=FROM )", dockerfile, flags=re.MULTILINE)
    return "".join(part for part in parts if re.match(r"FROM \S+ AS (uv|torch)\n|(?!FROM )", part))


if __name__ == "__main__":
    main()
