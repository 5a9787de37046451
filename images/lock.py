#!/usr/bin/env python3
"""Write each image's lock file from uv.lock: every package at its exact version, with the hashes of its files.

    images/lock.py

Run it when uv.lock has changed; tests/unit/images says when one is stale. An image is built from its lock file alone.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS_OF_TRAIN = ("data", "select", "train", "merge", "evaluate", "report", "serve")
# Ray workers, and the pods of steps whose models vLLM runs: evaluate above all, with its benchmarks and checks.
EXTRAS_WITH_VLLM = ("vllm", "evaluate")
# Trainings whose rollouts vLLM draws.
EXTRAS_OF_TRAIN_WITH_VLLM = ("vllm", "train", "rewards")
# Small packages that torch needs: they change more often than torch, whose layer shall stay.
BESIDE_TORCH = ("cuda-bindings", "filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy", "typing-extensions")


def extras(*names: str) -> tuple[str, ...]:
    """uv's options for Tutelage's dependencies with these extras."""
    return ("--no-dev", "--no-emit-project", *(option for name in names for option in ("--extra", name)))


LOCKS = {
    "setuptools.txt": ("--only-group", "build"),
    "torch.txt": ("--only-group", "torch", *(option for name in BESIDE_TORCH for option in ("--prune", name))),
    "launcher/requirements.txt": extras(),
    "ray/requirements.txt": extras("synthesis", "rewards"),
    "ray/requirements-vllm.txt": extras(*EXTRAS_WITH_VLLM),
    "train/requirements.txt": extras(*EXTRAS_OF_TRAIN),
    "train/requirements-vllm.txt": extras(*EXTRAS_OF_TRAIN_WITH_VLLM),
}
"""Lock files by their place in this folder, and what uv is asked for."""


def main() -> None:
    """Write all lock files."""
    for place in LOCKS:
        (ROOT / "images" / place).write_text(export(place))


def export(place: str) -> str:
    """What a lock file must hold. Asks no index: uv.lock has it all."""
    command = [uv_program(), "export", "--frozen", "--no-header", "--no-annotate", "--quiet", *LOCKS[place]]
    exported = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    return f"# Written by `make lock` from uv.lock.\n{exported}"


def uv_program() -> str:
    """The uv that the Makefile uses: this machine's, or the one that it fetched."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    if not Path(uv).exists():
        subprocess.run(["make", ".tools/bin/uv"], check=True, cwd=ROOT, stdout=sys.stderr)  # noqa: S607 - make is where it is
    return uv


def locked_versions(content: str) -> dict[str, set[str]]:
    """Versions that a lock file's content names, by package; more than one where they differ by Python or platform."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", content, re.MULTILINE):
        versions.setdefault(normalised(name), set()).add(version)
    return versions


def normalised(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
