"""The images' lock files: everything that uv.lock pins, checked by hash; and the layers that images share."""

import ast
import re
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from components.registry import STEPS
from components.shared.step import Step
from images.lock import LOCKS, export, locked_versions, normalised

FOLDER = Path(__file__).resolve().parents[3] / "images"
WITH_TORCH = [place for place in LOCKS if place.startswith(("ray", "train"))]


@pytest.mark.parametrize("place", LOCKS)
def test_a_lock_file_holds_what_uv_lock_pins(place: str) -> None:
    assert (FOLDER / place).read_text() == export(place), f"images/{place} is stale: run make lock"


def test_every_image_has_a_lock_file() -> None:
    assert {path.parent.name for path in FOLDER.glob("*/requirements.txt")} == {
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


def test_only_the_lock_files_with_vllm_have_vllm_and_of_one_release() -> None:
    locked = {place: locked_versions((FOLDER / place).read_text()).get("vllm") for place in LOCKS}
    with_vllm = {place: release for place, release in locked.items() if release}
    assert with_vllm.keys() == {"ray/requirements-vllm.txt", "train/requirements-vllm.txt"}
    assert len(set(map(frozenset, with_vllm.values()))) == 1


@pytest.mark.parametrize(("image", "trains"), [("ray", False), ("train", True)])
def test_a_lock_file_with_vllm_has_what_the_steps_import_that_need_it(image: str, trains: bool) -> None:
    """A task of theirs runs in that image where its settings choose vLLM: a training, or a step that asks models."""
    needing = [
        name
        for name, step in STEPS.items()
        if step.image_needed is not Step.image_needed and (step.program == "torchrun") == trains
    ]
    assert ("train" if trains else "evaluate") in needing
    folders = (*needing, "models", "rewards", "shared", "launch")
    files = [file for folder in folders for file in (FOLDER.parent / "components" / folder).rglob("*.py")]
    # Reports are drawn, and scores tested, elsewhere.
    elsewhere = ("shared/page", "shared/paired_tests.py")
    files = [file for file in files if not any(part in file.as_posix() for part in elsewhere)]
    homes = packages_distributions()
    imported = {package for file in files for package in imports_of(file)} & homes.keys()
    locked = locked_versions((FOLDER / image / "requirements-vllm.txt").read_text())
    missing = {package for package in imported if not {normalised(home) for home in homes[package]} & locked.keys()}
    # deepspeed is patched where it is installed; the product's own folders have no lock file.
    assert missing - {"deepspeed", "components", "pipelines", "demo"} == set()


def imports_of(file: Path) -> set[str]:
    """Top-level packages that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {
        name.split(".")[0] for name in plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    }
