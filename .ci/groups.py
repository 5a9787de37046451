#!/usr/bin/env python3
"""Which groups of tests a change can have touched: the others passed before with the very same files.

    .ci/groups.py todo GROUP          exit code 0 when the group has to run, 3 when it can be left out; says why
    .ci/groups.py folders GROUP       print those folders of the group that have to run; says why others are left out
    .ci/groups.py passed GROUP…       remember that groups or folders have passed with the files of HEAD

A group's key is the hash of the files that it depends on, as git stores them, and of the real data where a test reads
some. Keys of what passed are kept outside of the tree, so that a fresh clone finds them. `make test-all` asks nobody.

Groups of tests in this process are divided by folder, and a folder depends on what its tests import or name
(imported.py), and on all files of the product that are not Python. Tests of pods depend on all that images hold.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Set
from functools import partial
from pathlib import Path

from imported import PACKAGES, ROOT, files_of

CODE = ("components", "pipelines", "demo", "pyproject.toml", "uv.lock")
JOBS = ("components/launch", "components/shared", "components/clean_up", "pyproject.toml", "uv.lock")
"""What tests marked `jobs`, and those that stop parts of the cluster, use of the product: jobs of one line."""
VLLM_CPU = ("benchmarks/made_once.py", "benchmarks/vllm_cpu")
CLUSTER_TESTS = ("tests/cluster", "tests/charts", "tests/manifests")
SHIPPED = ("images", ".dockerignore", "charts", "k8s")
SHARED_TESTS = ("tests/*.py", "tests/tools", "Makefile", ".ci")
FOLDERS = {"unit": "tests/unit", "integration": "tests/integration"}
"""Groups that are divided by folder."""
SERVING = "tests/serving"
"""Tests of servers, which are one group, but depend on what they import as folders do."""
FURTHER = {SERVING: (*VLLM_CPU, "images/ray")}
"""What tests depend on beside what they import or name."""
ALWAYS = ("architecture", "ci", "docs", "images", "registries")
"""Their folders whose tests read the entire tree."""
GROUPS = {
    "cluster-steps": (*CODE, *SHARED_TESTS, *VLLM_CPU, *SHIPPED, "tests/cluster", "tests/charts"),
    "cluster-jobs": (*JOBS, *SHARED_TESTS, *SHIPPED, *CLUSTER_TESTS),
    "cluster-alone": (*JOBS, *SHARED_TESTS, *SHIPPED, *CLUSTER_TESTS),
    "image-programs": (*CODE, *SHARED_TESTS, *SHIPPED, "tests/images"),
    "image-contents": ("pyproject.toml", "uv.lock", "images", ".dockerignore", "tests/images", *SHARED_TESTS),
}
"""Groups that take long, and what they depend on. Lint and the tests of no group always run."""
KEPT = 50
"""Keys of a group that are remembered."""
LEFT_OUT = 3


def main(words: list[str]) -> int:
    """Answer one question; returns the exit code."""
    match words:
        case ["todo", group] if group in {*GROUPS, SERVING}:
            return todo(group)
        case ["folders", group] if group in FOLDERS:
            print(*(folder for folder in folders(group) if is_always_run(folder) or todo(folder) != LEFT_OUT))
            return 0
        case ["passed", *groups] if groups and all(group in GROUPS or is_folder(group) for group in groups):
            for group in groups:
                remember(memory_of(group), key_of(group))
            return 0
    print(f"{__doc__}\ngroups: {', '.join((*GROUPS, *FOLDERS, SERVING))}", file=sys.stderr)
    return 2


def todo(group: str) -> int:
    """Say on stderr whether a group or a folder has to run, and why; returns the exit code."""
    key = key_of(group)
    commit = dict(line.split() for line in lines_of(memory_of(group))).get(key)
    if commit is None:
        print(f"{group}: runs, since no run with these files has passed here ({key})", file=sys.stderr)
        return 0
    print(f"{group}: left out, since its files are those of {commit[:12]}, where it passed", file=sys.stderr)
    return LEFT_OUT


def folders(group: str) -> list[str]:
    """The folders and files with tests right below a group's folder."""
    found = (ROOT / FOLDERS[group]).iterdir()
    tests = [path for path in found if any(path.glob("**/test_*.py")) or path.name.startswith("test_")]
    return sorted(str(path.relative_to(ROOT)) for path in tests)


def is_folder(name: str) -> bool:
    """Whether a name is a folder or file of a group that is divided."""
    return name == SERVING or any(name in folders(group) for group in FOLDERS)


def is_always_run(folder: str) -> bool:
    """Whether tests run whatever has changed."""
    return Path(folder).name in ALWAYS or Path(folder).suffix == ".py"


def key_of(group: str) -> str:
    """Hash of the files that a group depends on: the commit's, so nothing of them may differ from it."""
    listed = git("ls-tree", "-r", "--full-tree", "HEAD")
    needed = partial(depends, group) if group in GROUPS else partial(depends_on_imports, group, *files_of(group))
    files = [line for line in listed.splitlines() if needed(line.partition("\t")[2])]
    data = bool(os.environ.get("TUTELAGE_TEST_DATA"))
    return hashlib.sha256("\n".join([*files, str(data)]).encode()).hexdigest()[:16]


def depends(group: str, file: str) -> bool:
    """Whether a group depends on a file: it is named, is in a folder that is named, or matches a pattern.

    None depends on a document: the quick tests, which always run, read those.
    """
    return _is_among(file, GROUPS[group])


def depends_on_imports(folder: str, modules: Set[str], places: Set[str], file: str) -> bool:
    """Whether the tests of a folder depend on a file, given what they import and the places that they name."""
    own = (folder, *FURTHER.get(folder, ()), *SHARED_TESTS)
    if file.endswith(".py") and file.startswith(tuple(f"{package}/" for package in PACKAGES)):
        return file in modules or _is_among(file, (*own, *(places - {"tests"})))
    return _is_among(file, (*own, *CODE, *places))


def _is_among(file: str, places: Iterable[str]) -> bool:
    return not file.endswith(".md") and any(
        file == place or file.startswith(f"{place}/") or _fits(file, place) for place in places
    )


def _fits(file: str, pattern: str) -> bool:
    """Whether a file matches a pattern, in which * matches no folder."""
    return "*" in pattern and Path(file).parent == Path(pattern).parent and Path(file).match(pattern)


def memory_of(group: str) -> Path:
    """Where a group's keys are kept: lines of a key and the commit that passed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tutelage" / "passed" / group


def remember(memory: Path, key: str) -> None:
    """Add a key, unless files that it covers differ from the commit."""
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        print(f"not remembered, since files differ from the commit:\n{changed}", file=sys.stderr)
        return
    memory.parent.mkdir(parents=True, exist_ok=True)
    lines = [line for line in lines_of(memory) if not line.startswith(key)]
    memory.write_text("\n".join([*lines[-KEPT:], f"{key} {git('rev-parse', 'HEAD').strip()}"]) + "\n")


def lines_of(memory: Path) -> list[str]:
    """The lines of a file that may be absent."""
    return memory.read_text().splitlines() if memory.exists() else []


def git(*words: str) -> str:
    """What git prints in this repository."""
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S607


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
