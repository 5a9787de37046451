"""The images' bills of materials: what is in an image, at the versions of its lock file, is named in its document."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from images.lock import locked_versions, normalised
from images.sbom import BUILT
from tests.images.conftest import Image

FOLDER = Path(__file__).parents[2] / "images"

pytestmark = pytest.mark.timeout(3600)  # the first test builds what is missing


@pytest.fixture(scope="module")
def documents(images: dict[str, Image]) -> dict[str, dict[str, Any]]:
    """The SPDX document of each image."""
    if not (shutil.which("syft") or BUILT.exists() or shutil.which("go")):
        pytest.skip("needs syft, or Go to build it")
    given = "".join(f"{image.reference} {image.layout}\n" for image in images.values())
    written = subprocess.run(
        [sys.executable, str(FOLDER / "sbom.py")], input=given, capture_output=True, text=True, timeout=3600
    )
    assert written.returncode == 0, written.stderr[-3000:]
    return {name: json.loads(Path(path).read_text()) for name, path in zip(images, written.stdout.split(), strict=True)}


@pytest.mark.parametrize("image", ["launcher", "ray", "train"])
def test_the_document_names_every_locked_package_at_its_version(
    documents: dict[str, dict[str, Any]], image: str
) -> None:
    named = _packages(documents[image], "pypi")
    lock = (FOLDER / image / "requirements.txt").read_text()
    locked = {name: versions for name, versions in locked_versions(lock).items() if _for_linux(lock, name)}
    assert {name: named.get(name) for name in locked if not locked[name] & named.get(name, set())} == {}


def test_torch_is_named_in_train_and_not_in_the_launcher(documents: dict[str, dict[str, Any]]) -> None:
    locked = locked_versions((FOLDER / "torch.txt").read_text())
    assert _packages(documents["train"], "pypi")["torch"] == locked["torch"]
    assert "torch" not in _packages(documents["launcher"], "pypi")


def test_debians_packages_are_named_too(documents: dict[str, dict[str, Any]]) -> None:
    assert "libc6" in _packages(documents["launcher"], "deb")
    assert "g++" in _packages(documents["train"], "deb")


def _packages(document: dict[str, Any], kind: str) -> dict[str, set[str]]:
    """Versions by name of the packages with an address such as pkg:KIND/…; some packages hold copies of others."""
    found: dict[str, set[str]] = {}
    for package in document["packages"]:
        addresses = [reference["referenceLocator"] for reference in package.get("externalRefs", [])]
        if any(address.startswith(f"pkg:{kind}/") for address in addresses):
            found.setdefault(normalised(package["name"]), set()).add(package["versionInfo"])
    return found


def _for_linux(lock: str, name: str) -> bool:
    """Whether a package is for this platform and Python: its lines name no other."""
    lines = [line for line in lock.splitlines() if line.startswith((f"{name}==", f"{name}["))]
    others = ("win32", "python_full_version >= '3.12'", "darwin'", "aarch64'")
    return any(not any(other in line for other in others) or "x86_64" in line for line in lines)
