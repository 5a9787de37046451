"""The images' lock files: what uv.lock says, whole, checked by hash; and the layers that images share."""

import re
from pathlib import Path

import pytest

from images.lock import LOCKS, export, locked_versions

FOLDER = Path(__file__).resolve().parents[3] / "images"
WITH_TORCH = [place for place in LOCKS if place.startswith(("ray", "train"))]


@pytest.mark.parametrize("place", LOCKS)
def test_a_lock_file_is_what_uv_lock_says(place: str) -> None:
    assert (FOLDER / place).read_text() == export(place), f"images/{place} is stale: run make lock"


def test_every_image_has_a_lock_file() -> None:
    assert {path.parent.name for path in FOLDER.glob("*/Dockerfile")} == {
        place.split("/")[0] for place in LOCKS if "/" in place
    }


@pytest.mark.parametrize("place", LOCKS)
def test_every_package_has_a_hash(place: str) -> None:
    requirements = re.split(r"\n(?=[^\s#])", (FOLDER / place).read_text())[1:]
    assert requirements
    assert [text.split()[0] for text in requirements if "--hash=sha256:" not in text] == []


@pytest.mark.parametrize("place", WITH_TORCH)
def test_the_layer_with_torch_is_part_of_every_image_that_has_it(place: str) -> None:
    shared, whole = (locked_versions((FOLDER / file).read_text()) for file in ("torch.txt", place))
    assert {name for name in shared if shared[name] != whole.get(name)} == set()


def test_the_launcher_has_nothing_heavy() -> None:
    launcher = locked_versions((FOLDER / "launcher/requirements.txt").read_text())
    assert {"kfp", "kubernetes", "boto3"} <= launcher.keys()
    assert launcher.keys() & {"torch", "ray", "numpy", "transformers", "pyarrow", "vllm"} == set()


def test_only_the_lock_file_with_vllm_has_vllm() -> None:
    assert [place for place in LOCKS if "vllm" in locked_versions((FOLDER / place).read_text())] == [
        "ray/requirements-vllm.txt"
    ]
