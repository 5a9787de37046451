"""The images' key: the same input costs nothing, other input is never taken for it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository with the real build program, an image, and some code."""
    for file in ("images/build.py", "images/oci_layout.py", "images/train/Dockerfile", ".dockerignore"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    for file in ("pyproject.toml", "uv.lock", "README.md", "LICENSE", "components/a.py", "pipelines/b.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(file)
    return tmp_path


def key_of(checkout: Path, base: str = "debian") -> str:
    program = (
        "import build, pathlib, tempfile; tree = build.copy_input(pathlib.Path(tempfile.mkdtemp()) / 'tree');"
        f"print(build.digest_input('train', tree, {{'BASE': {base!r}}}))"
    )
    command = [sys.executable, "-B", "-c", program]
    environment = {**os.environ, "TMPDIR": str(checkout)}
    ran = subprocess.run(command, cwd=checkout / "images", env=environment, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


@pytest.mark.parametrize(
    "file", ["components/a.py", "pipelines/b.py", "uv.lock", "images/train/Dockerfile", ".dockerignore"]
)
def test_changed_input_has_another_key(checkout: Path, file: str) -> None:
    before = key_of(checkout)
    (checkout / file).write_text((checkout / file).read_text() + "\n# changed")
    assert key_of(checkout) != before


def test_a_new_and_a_renamed_file_have_another_key(checkout: Path) -> None:
    before = key_of(checkout)
    (checkout / "components/c.py").touch()
    added = key_of(checkout)
    (checkout / "components/c.py").rename(checkout / "components/d.py")
    assert len({before, added, key_of(checkout)}) == 3


def test_another_base_has_another_key(checkout: Path) -> None:
    assert key_of(checkout, "debian") != key_of(checkout, "python")


def test_what_no_image_holds_leaves_the_key(checkout: Path) -> None:
    before = key_of(checkout)
    (checkout / "tests").mkdir()
    (checkout / "tests/test_a.py").touch()
    (checkout / "components/__pycache__").mkdir()
    (checkout / "components/__pycache__/a.cpython-311.pyc").touch()
    assert key_of(checkout) == before


@pytest.mark.parametrize("image", ["launcher", "train"])
def test_the_image_is_built_with_the_makefiles_uv(image: str) -> None:
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert version
    assert f"ARG UV=ghcr.io/astral-sh/uv:{version[1]}\n" in (ROOT / "images" / image / "Dockerfile").read_text()
