"""The images' key: equal inputs have the same key and are not built again; different inputs never share one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository with the real build program, images, and some code."""
    shutil.copytree(ROOT / "images", tmp_path / "images", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    for file in ("pyproject.toml", "README.md", "LICENSE", "components/a.py", "pipelines/b.py", "demo/c.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(file)
    return tmp_path


def key_of(checkout: Path, base: str = "debian", image: str = "train") -> str:
    program = (
        "import build, pathlib, tempfile; tree = build.copy_input(pathlib.Path(tempfile.mkdtemp()) / 'tree');"
        f"print(build.digest_input({image!r}, tree, {{'BASE': {base!r}}}))"
    )
    command = [sys.executable, "-B", "-c", program]
    environment = {**os.environ, "TMPDIR": str(checkout)}
    ran = subprocess.run(
        command, cwd=checkout / "images", env=environment, check=True, capture_output=True, text=True, timeout=3600
    )
    return ran.stdout.strip()


CODE = ("components/a.py", "pipelines/b.py", "demo/c.py", "pyproject.toml")
INPUT = (*CODE, ".dockerignore", "images/torch.txt", "images/Dockerfile")
OWN = ("images/train/requirements.txt", "images/train/build_extensions.py")


@pytest.mark.parametrize("file", [*INPUT, *OWN])
def test_changed_input_has_another_key(checkout: Path, file: str) -> None:
    before = key_of(checkout)
    (checkout / file).write_text((checkout / file).read_text() + "\n# changed")
    assert key_of(checkout) != before


@pytest.mark.parametrize("file", [*OWN, "images/README.md", "images/build.py"])
def test_the_inputs_of_another_image_do_not_change_the_key(checkout: Path, file: str) -> None:
    before = key_of(checkout, image="ray")
    (checkout / file).write_text((checkout / file).read_text() + "\n# changed")
    assert key_of(checkout, image="ray") == before


def test_a_new_and_a_renamed_file_have_another_key(checkout: Path) -> None:
    before = key_of(checkout)
    (checkout / "components/c.py").touch()
    added = key_of(checkout)
    (checkout / "components/c.py").rename(checkout / "components/d.py")
    assert len({before, added, key_of(checkout)}) == 3


def test_another_base_has_another_key(checkout: Path) -> None:
    assert key_of(checkout, "debian") != key_of(checkout, "python")


def test_files_that_no_image_holds_do_not_change_the_key(checkout: Path) -> None:
    before = key_of(checkout)
    (checkout / "tests").mkdir()
    (checkout / "tests/test_a.py").touch()
    (checkout / "components/__pycache__").mkdir()
    (checkout / "components/__pycache__/a.cpython-311.pyc").touch()
    assert key_of(checkout) == before


def test_the_layouts_of_an_image_are_not_those_of_its_variant(tmp_path: Path) -> None:
    cache = tmp_path / "tutelage" / "images"
    for name in ("ray-0123456789abcdef", "ray-vllm-0123456789abcdef"):
        (cache / name).mkdir(parents=True)
    (cache / "ray-0123456789abcdef.spdx.json").touch()
    command = [sys.executable, "-B", "-c", "import build; print(*(path.name for path in build.layouts('ray')))"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    ran = subprocess.run(
        command, cwd=ROOT / "images", env=environment, check=True, capture_output=True, text=True, timeout=3600
    )
    assert ran.stdout.split() == ["ray-0123456789abcdef"]


def test_steps_that_a_killed_build_still_uses_do_not_fail_the_next_build(tmp_path: Path) -> None:
    """A stand-in for buildah: a container in use takes root, and a kill in the middle of a build."""
    program = tmp_path / "buildah"
    program.write_text(
        '#!/bin/sh\n[ "$1" = images ] && echo 4a19f2f32c6f && exit 0\necho "image is in use" >&2; exit 125\n'
    )
    program.chmod(0o755)
    command = [sys.executable, "-B", "-c", "import build; build.prune_steps()"]
    environment = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    ran = subprocess.run(
        command, cwd=ROOT / "images", env=environment, check=True, capture_output=True, text=True, timeout=3600
    )
    assert "image is in use" in ran.stderr
    assert "buildah rm" in ran.stderr
