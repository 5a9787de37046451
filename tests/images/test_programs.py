"""Every program that is started in a pod starts in its image: as any user, on a read-only root, without a network."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.container import Container
from tests.images.programs import ELSEWHERE, MODULES, commands

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "ray": ("synthesize", "probe", "bridge", "critique", "rewards", "models", "shared"),
    "train": (
        *(
            "collect",
            "curate",
            "select",
            "train",
            "merge",
            "evaluate",
            "compare",
            "publish",
            "choose",
            "analyse",
            "route",
        ),
        *("models", "shared", "launch"),
    ),
}
"""Whose code runs in an image, imports inside functions too."""
ELSEWHERE_RUN = {"ray": ("shared/page", "shared/paired_tests.py"), "train": ("launch/ray",)}
"""Parts of them whose code does not: what reports draw and test, and what Ray's drivers use."""
OPTIONAL = {"ray": {"vllm", "deepspeed"}, "train": {"vllm"}}
"""Packages that an image does without: vllm is in ray-vllm, and deepspeed is patched for training only."""
THIN = (
    "clean_up.component",
    *("synthesize.component", "synthesize.synthesize", "probe.component", "probe.probe"),
    *("bridge.component", "bridge.bridge", "critique.component", "critique.critique"),
    *("train.component", "train.train"),
)
"""What a pod of the launcher image imports."""

_PROGRAM = re.compile(r'^if __name__ == "__main__":', re.MULTILINE)

pytestmark = pytest.mark.timeout(3600)  # the first test builds what is missing


@pytest.mark.parametrize(
    ("image", "called"), [(image, called) for image in ("launcher", "ray", "train") for called in commands(image)]
)
def test_the_program_starts(containers: dict[str, Container], image: str, called: str) -> None:
    ran = containers[image].run(*commands(image)[called])
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_program_of_the_product_has_an_image_or_needs_none() -> None:
    modules = {_module_of(file) for file in _sources("components", "pipelines") if _PROGRAM.search(file.read_text())}
    assert {module for module in modules if not module.startswith(ELSEWHERE)} == set(MODULES)


def test_the_launcher_has_what_thin_pods_import(launcher: Container) -> None:
    launcher.python("; ".join(f"import components.{module}" for module in THIN))


@pytest.mark.parametrize("image", FOLDERS)
def test_an_image_has_every_package_that_its_steps_import(containers: dict[str, Container], image: str) -> None:
    others = tuple(str(ROOT / "components" / part) for part in ELSEWHERE_RUN[image])
    files = [
        file
        for file in _sources(*(f"components/{folder}" for folder in FOLDERS[image]))
        if not str(file).startswith(others)
    ]
    wanted = {package for file in files for package in _imported(file)} - OPTIONAL[image]
    program = f"import importlib.util as find; print([p for p in {sorted(wanted)} if find.find_spec(p) is None])"
    assert containers[image].python(program) == "[]"


def test_the_libraries_of_a_training_load(train: Container) -> None:
    loaded = train.python("import torch, transformers, trl, deepspeed, peft, datasets; print(torch.__version__)")
    assert loaded.splitlines()[-1].startswith("2.")


def test_ray_runs_a_task(ray: Container) -> None:
    program = (
        "import ray; ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100 * 2**20);"
        "print('sum', ray.get(ray.remote(lambda: 1 + 2).remote()))"
    )
    assert "sum 3" in ray.python(program)


def _sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def _imported(file: Path) -> Iterator[str]:
    """Top-level packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]
