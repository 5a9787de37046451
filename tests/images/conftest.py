"""The images of this tree, built if they are missing, and a container of each."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.images.container import Container

BUILD = Path(__file__).parents[2] / "images" / "build.py"
PROGRAMS = ("buildah", "debootstrap", "runc")


@dataclass(frozen=True)
class Image:
    """A built image: its reference in buildah's storage, and its OCI layout."""

    reference: str
    layout: Path


@pytest.fixture(scope="session")
def images() -> dict[str, Image]:
    """All images, by name; what was built before from the same files is not built again."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounting an image, and running it as another user")
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install {' '.join(missing)}")
    built = subprocess.run([sys.executable, str(BUILD), "--debian"], capture_output=True, text=True, timeout=3600)
    assert built.returncode == 0, built.stderr[-3000:]
    lines = [line.split() for line in built.stdout.splitlines()]
    return {reference.split("/")[-1].split(":")[0]: Image(reference, Path(layout)) for reference, layout in lines}


@pytest.fixture(scope="session")
def containers(images: dict[str, Image]) -> Iterator[dict[str, Container]]:
    """A container of each image."""
    with tempfile.TemporaryDirectory() as folder:
        opened = {name: Container(image.reference, image.layout, Path(folder)) for name, image in images.items()}
        yield opened
        for container in opened.values():
            container.close()


@pytest.fixture
def launcher(containers: dict[str, Container]) -> Container:
    """A container of the launcher image."""
    return containers["launcher"]


@pytest.fixture
def ray(containers: dict[str, Container]) -> Container:
    """A container of the ray image."""
    return containers["ray"]


@pytest.fixture
def train(containers: dict[str, Container]) -> Container:
    """A container of the train image."""
    return containers["train"]
